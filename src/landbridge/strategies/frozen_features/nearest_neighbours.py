"""Weighted nearest neighbours on frozen features."""

from typing import Annotated, Any, ClassVar, cast

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import normalize

from landbridge.strategies.closed_form import ClosedForm
from landbridge.strategies.requirements import CLASSES


class NeighbourHead(nn.Module):
    r"""Lets the nearest of a bank of labelled features vote, the nearer the louder.

    Neighbour $i$ at cosine similarity $s_i$ votes for its class with $e^{s_i / T}$. Logits are the logarithms of the
    classes' shares of the votes.

    Args:
        classes: how many there are.
        width: of a feature.
        k: neighbours that vote; all where there are fewer.
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
        self.register_load_state_dict_pre_hook(_make_room)

    def remember(self, features: Tensor, labels: Tensor) -> None:
        """Fill the bank with labelled features (n, d)."""
        self.register_buffer("bank", normalize(features, dim=1))
        self.register_buffer("labels", labels)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (b, classes) of features (b, d); all are equal while the bank is empty."""
        similarity, index = (normalize(features, dim=1) @ self.bank.T.to(features.dtype)).topk(
            min(self.k, len(self.bank))
        )
        # Relative to the nearest, so that no exponential overflows.
        votes = ((similarity - similarity[:, :1]) / self.temperature).exp()
        shares = votes.new_zeros(len(votes), self.classes).scatter_add_(1, self.labels[index], votes)
        return (shares / shares.sum(1, keepdim=True).clamp(min=1e-12)).clamp(min=1e-12).log()


class NearestNeighbours(ClosedForm):
    """Weighted k-nearest neighbours by cosine similarity, as DINO is judged (Caron et al., 2021, arXiv:2104.14294).

    The bank holds the features of all visible target labels, and goes with the checkpoint. The backbone is as it was
    loaded.

    Args:
        k: neighbours that vote; all where fewer labels are visible.
        temperature: the lower, the more the nearest ones count.
        **base: see `Strategy`.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target"}, tasks=CLASSES)

    def __init__(self, k: Annotated[int, Gt(0)] = 20, temperature: Annotated[float, Gt(0)] = 0.07, **base: Any) -> None:
        super().__init__(**base)
        classes, width = self.network.outputs, self.network.backbone.features
        self.network.add_module("head", NeighbourHead(classes, width, k, temperature))

    def solve(self) -> None:
        """Fill the bank."""
        seen = self.collect("target")
        cast(Any, self.network.head).remember(seen.features, seen.y)


def _make_room(head: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give the bank the size that a checkpoint's has."""
    for name in ("bank", "labels"):
        if f"{prefix}{name}" in state:
            head.register_buffer(name, torch.empty_like(state[f"{prefix}{name}"], device=getattr(head, name).device))
