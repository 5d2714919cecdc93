"""Batch nuclear-norm maximisation."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from landbridge.losses import bnm
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class BNM(Strategy):
    r"""Batch nuclear-norm maximisation (Cui et al., 2020, arXiv:2003.12237).

    $\mathrm{CE}(g_s, y_s) - w\,|P_t|_* / n$ with the class probabilities $P_t$ of a target batch of $n$ samples: its
    nuclear norm is large where predictions are sure and of many classes. The weight is constant, as in the paper.
    Visible target labels, where there are any, join the cross-entropy.

    Args:
        weight: of the nuclear norm, $w$.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})
    optimises: ClassVar = frozenset({"bnm", "im"})
    optimises: ClassVar = frozenset({"bnm", "im"})

    def __init__(self, weight: Annotated[float, Ge(0)] = 1.0, **base: Any) -> None:
        super().__init__(**base)
        self.weight = weight

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; enlarge the nuclear norm of target predictions."""
        target_unlabelled.require_row_per_class("strategy BNM")
        return {"classify": self.classify(source, target), "nuclear_norm": self.weight * bnm(target_unlabelled.logits)}
