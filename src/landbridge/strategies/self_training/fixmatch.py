"""Consistency between weak and strong augmentations."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor

from landbridge.data.streams import STREAMS, Batch
from landbridge.losses import fixmatch
from landbridge.strategies.self_training.tested_average import TestedAverage
from landbridge.training.output import Output


class FixMatch(TestedAverage):
    r"""FixMatch between domains (Sohn et al., 2020, arXiv:2001.07685).

    A confident prediction for the weak view of a target image is the pseudo-label for its strong view. The loss is
    $\mathrm{CE}(g_s, y_s) + w\,\frac1n \sum_i \mathbb 1[\max_k p^{weak}_{ik} > \tau]\,
    \mathrm{CE}(g^{strong}_i, \arg\max_k p^{weak}_{ik})$. If target labels are visible, the cross-entropy
    includes them. Labelled images are changed as `augment` says. `strategy=fixmatch` sets `augment=weak`, the paper's
    weak augmentation.

    A moving average of the weights is evaluated. The defaults of threshold, weight and decay are those of the authors'
    code (google-research/fixmatch, fixmatch.py), except that the decay rises to its value at the start of training; see
    `TestedAverage`. Their code has seven unlabelled images for every labelled image, and learned strong augmentations
    (CTAugment). Here there is one unlabelled image for every labelled image, unless `data.unlabelled_batch_size` is
    larger, and the augmentations are those of `landbridge.data.augment`.

    Args:
        threshold: $\tau$. With 1 no sample has a pseudo-label.
        weight: weight of the loss on unlabelled samples, $w$.
        **averaged: `decay`, the decay of the moving average, with 0 the weights themselves are evaluated; see
            `TestedAverage`. For the others see `Strategy`.

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
        **averaged: Any,
    ) -> None:
        super().__init__(**averaged)
        self.threshold = threshold
        self.weight = weight

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode labelled images, and weak and strong views of the unlabelled target."""
        return super().encode_streams(self.with_views(batch))

    def loss(
        self, source: Output, target_unlabelled: Output, target_strong: Output, target: Output | None = None
    ) -> dict[str, Tensor]:
        """Return the cross-entropy of labelled samples, and that of strong views with their pseudo-labels."""
        agree = fixmatch(target_unlabelled.logits, target_strong.logits, self.threshold)
        return {"supervised": self.supervised(source, target), "agree": self.weight * agree}
