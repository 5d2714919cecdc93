"""Minimum class confusion."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import dann_ramp, mcc
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class MCC(Strategy):
    r"""Minimum class confusion (Jin et al., 2020, arXiv:1912.03699).

    $\mathrm{CE}(g_s, y_s) + \lambda(t)\,w\,L_\mathrm{MCC}(g_t)$: predictions on the target, softened by a temperature,
    should not waver between the same two classes. Nothing is aligned. The weight rises with
    $\lambda(t) = 2 / (1 + e^{-10t}) - 1$, since the first predictions of a network that starts from scratch are noise;
    the paper starts from pretrained weights and holds it constant, as `terms=[mcc]` does. Visible target labels, where
    there are any, join the cross-entropy.

    Args:
        weight: of the class confusion, $w$.
        temperature: of the predictions.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})
    optimises: ClassVar = frozenset({"bnm", "im"})
    optimises: ClassVar = frozenset({"bnm", "im"})

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 1.0, temperature: Annotated[float, Gt(0)] = 2.5, **base: Any
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.temperature = temperature

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; lessen the confusion of target predictions."""
        target_unlabelled.require_row_per_class("strategy MCC")
        confusion = mcc(target_unlabelled.logits, self.temperature)
        return {
            "classify": self.classify(source, target),
            "confusion": dann_ramp(self.progress) * self.weight * confusion,
        }
