"""Weighted nearest neighbours on frozen features."""

import logging
from typing import Annotated, Any, ClassVar, cast

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import normalize

from landbridge.strategies.frozen_features.closed_form_head import ClosedFormHead
from landbridge.tasks import ONE_CLASS

log = logging.getLogger(__name__)


class NeighbourHead(nn.Module):
    r"""A head that classifies features by their nearest neighbours in a bank of labelled features.

    Neighbour $i$ with cosine similarity $s_i$ has the weight $e^{s_i / T}$. The logit of a class is the logarithm of
    the share of its neighbours in the sum of weights.

    Args:
        classes: number of classes.
        width: width of the features.
        k: number of neighbours. If the bank has fewer features, all of them are used.
        temperature: $T$.
    """

    bank: Tensor
    labels: Tensor

    def __init__(self, classes: int, width: int, k: int, temperature: float) -> None:
        super().__init__()
        self.classes = classes
        self.k = k
        self.temperature = temperature
        self.remember(torch.zeros(0, width), torch.zeros(0, dtype=torch.long))
        self.register_load_state_dict_pre_hook(_resize_bank)

    def remember(self, features: Tensor, labels: Tensor) -> None:
        """Store labelled features (n, d) in the bank."""
        self.register_buffer("bank", normalize(features, dim=1))
        self.register_buffer("labels", labels)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (b, classes) of features (b, d). All logits are equal if the bank is empty."""
        similarity, index = (normalize(features, dim=1) @ self.bank.T.to(features.dtype)).topk(
            min(self.k, len(self.bank))
        )
        # The similarity of the nearest neighbour is subtracted, so that no exponential overflows.
        weights = ((similarity - similarity[:, :1]) / self.temperature).exp()
        # `len` would make the number of samples a constant of an exported model.
        shares = weights.new_zeros(weights.shape[0], self.classes).scatter_add_(1, self.labels[index], weights)
        return (shares / shares.sum(1, keepdim=True).clamp(min=1e-12)).clamp(min=1e-12).log()


class NearestNeighbours(ClosedFormHead):
    """Weighted k-nearest neighbours by cosine similarity, as in the evaluation of DINO.

    The evaluation is that of Caron et al. (2021, arXiv:2104.14294). The bank has the features of all labelled target
    samples, and is part of the checkpoint. The backbone does not change.

    Args:
        k: number of neighbours. If fewer labels are visible, all labelled samples are used, and the log says so.
        temperature: a lower value gives the nearest neighbours more weight.
        **base: see `Strategy`.
    """

    requirements: ClassVar = ClosedFormHead.requirements.but(needs={ONE_CLASS})

    def __init__(self, k: Annotated[int, Gt(0)] = 20, temperature: Annotated[float, Gt(0)] = 0.07, **base: Any) -> None:
        super().__init__(**base)
        self.k = k
        classes, width = self.network.outputs, self.network.features
        self.network.add_module("head", NeighbourHead(classes, width, k, temperature))

    def solve(self) -> None:
        """Store the features and labels of the target in the bank."""
        seen = self.collect(self.learned_from)
        if self.k > len(seen.y):
            log.warning("strategy.k=%d: there are %d labelled samples, and all are used", self.k, len(seen.y))
            self.note = {"k": len(seen.y)}
        cast(Any, self.network.head).remember(seen.features, seen.y)


def _resize_bank(head: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give the bank the size of the checkpoint's bank, before the checkpoint is loaded."""
    for name in ("bank", "labels"):
        if f"{prefix}{name}" in state:
            head.register_buffer(name, torch.empty_like(state[f"{prefix}{name}"], device=getattr(head, name).device))
