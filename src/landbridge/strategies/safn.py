"""Stepwise adaptive feature norms."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import safn
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class SAFN(Strategy):
    r"""Stepwise adaptive feature norm (Xu et al., 2019, arXiv:1811.07456).

    $\mathrm{CE}(g_s, y_s) + w \sum_D \frac1n \sum_{i \in D} \bigl(|f_i| - (\operatorname{sg}|f_i| + \Delta)\bigr)^2$
    over both domains $D$: in each step every feature should become a little longer. The term's value is always
    $2 w \Delta^2$, so its curve says nothing; norms may grow without bound on small networks. The paper's dropout,
    which preserves norms, belongs to the backbone and is not added here. The weight is constant, as in the paper.
    Visible target labels, where there are any, join the cross-entropy.

    Args:
        weight: of the norm term, $w$.
        step: how much longer a feature is asked to be, $\Delta$.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 0.05, step: Annotated[float, Gt(0)] = 1.0, **base: Any
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.step = step

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; lengthen features."""
        lengthen = safn(source.features, self.step) + safn(target_unlabelled.features, self.step)
        return {"classify": self.classify(source, target), "lengthen": self.weight * lengthen}
