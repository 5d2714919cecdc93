"""Learning from one's own sure predictions."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor

from landbridge.losses import dann_ramp, fixmatch
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class PseudoLabel(Strategy):
    r"""Pseudo-labels with a threshold (Lee, "Pseudo-Label", ICML 2013 workshop on representation learning).

    A target sample whose largest class probability exceeds $\tau$ counts as labelled with that class:
    $\mathrm{CE}(g_s, y_s) + w\,\lambda(t)\,\frac1n \sum_i \mathbb 1[\max_k p_{ik} > \tau]\,
    \mathrm{CE}(g_i, \arg\max_k p_{ik})$. Its weight rises with $\lambda(t) = 2 / (1 + e^{-10t}) - 1$; the paper has a
    linear rise and no threshold. Visible target labels, where there are any, join the cross-entropy.

    Args:
        threshold: $\tau$; at 1 no sample counts.
        weight: of the pseudo-labelled samples, $w$.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(
        self,
        threshold: Annotated[float, Ge(0), Le(1)] = 0.95,
        weight: Annotated[float, Ge(0)] = 1.0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.threshold = threshold
        self.weight = weight

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples, and sure ones by what they are taken for."""
        # FixMatch without augmentation: one view says the label and learns it.
        own = fixmatch(target_unlabelled.logits, target_unlabelled.logits, self.threshold)
        weight = self.weight * dann_ramp(self.progress)
        return {"classify": self.classify(source, target), "pseudo_label": weight * own}
