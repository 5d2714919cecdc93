"""Consistency between weak and strong augmentations."""

from collections.abc import Callable
from copy import deepcopy
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from landbridge.data.activations import Activation
from landbridge.data.streams import STREAMS, Batch
from landbridge.losses import fixmatch
from landbridge.strategies.self_training.two_views import TwoViews
from landbridge.training.output import Output


class FixMatch(TwoViews):
    r"""FixMatch between domains (Sohn et al., 2020, arXiv:2001.07685).

    A confident prediction for the weak view of a target image is the pseudo-label for its strong view. The loss is
    $\mathrm{CE}(g_s, y_s) + w\,\frac1n \sum_i \mathbb 1[\max_k p^{weak}_{ik} > \tau]\,
    \mathrm{CE}(g^{strong}_i, \arg\max_k p^{weak}_{ik})$. If target labels are visible, the cross-entropy
    includes them. Labelled images are changed as `augment` says. `strategy=fixmatch` sets `augment=weak`, the paper's
    weak augmentation.

    A moving average of the weights is evaluated. Its decay after n batches is $\min(d, (1 + n) / (10 + n))$. With the
    paper's constant decay of 0.999, the average would be close to the initial weights after a short training. The paper
    has seven unlabelled images for every labelled image, and RandAugment. Here there is one unlabelled image for every
    labelled image, and the augmentations are those of `landbridge.data.augment`.

    Args:
        threshold: $\tau$. With 1 no sample has a pseudo-label.
        weight: weight of the loss on unlabelled samples, $w$.
        decay: decay of the moving average, $d$. With 0 the weights themselves are evaluated.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors.
    """

    views: ClassVar = {
        **{stream: (stream, "augment") for stream in STREAMS},
        "target_unlabelled": ("target_unlabelled", "weak"),
        "target_strong": ("target_unlabelled", "strong"),
    }

    def __init__(
        self,
        threshold: Annotated[float, Ge(0), Le(1)] = 0.95,
        weight: Annotated[float, Ge(0)] = 1.0,
        decay: Annotated[float, Ge(0), Lt(1)] = 0.999,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.threshold = threshold
        self.weight = weight
        self.decay = decay
        self.averaged = deepcopy(self.network).requires_grad_(False)

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the network in training, and the moving average in evaluation."""
        return self.network if self.training else self.averaged

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode labelled images, and weak and strong views of the unlabelled target."""
        return super().encode_streams(self.with_views(batch))

    def loss(
        self, source: Output, target_unlabelled: Output, target_strong: Output, target: Output | None = None
    ) -> dict[str, Tensor]:
        """Return the cross-entropy of labelled samples, and that of strong views with their pseudo-labels."""
        agree = fixmatch(target_unlabelled.logits, target_strong.logits, self.threshold)
        return {"supervised": self.supervised(source, target), "agree": self.weight * agree}

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the moving average. BatchNorm's statistics are copied, because they are averages already."""
        decay = min(self.decay, (1 + self.batches_seen) / (10 + self.batches_seen))
        averages: list[Tensor] = list(self.averaged.parameters())
        weights: list[Tensor] = list(self.network.parameters())
        get_ema_multi_avg_fn(decay)(averages, weights, self.batches_seen)
        for average, current in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
            average.copy_(current)
