"""Deep CORAL: alignment of covariances."""

from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from landbridge.losses import coral, coral_with_mean
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output

VARIANTS = {"paper": coral, "with_mean": coral_with_mean}


class DeepCORAL(Strategy):
    r"""Deep CORAL (Sun & Saenko, 2016, arXiv:1607.01719).

    $\mathrm{CE}(g_s, y_s) + w\,|C_s - C_t|_F^2 / (4 d^2)$ with the covariances $C$ of the $d$ features; the paper
    aligns the outputs of the last layer. It asks for a constant weight that makes both losses equally large at the end
    of the training. Because of the division by $d^2$ that is a large one, near 100 for the 64 features of `digits_cnn`.
    Visible target labels, where there are any, join the cross-entropy.

    Args:
        weight: of the distance between covariances, $w$.
        variant: `paper`, or `with_mean`, which aligns the means too and lacks the factor 1/4, as in TLLib and
            DomainBed; with it their weight is 1.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 100.0,
        variant: Literal["paper", "with_mean"] = "paper",
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.variant = variant

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; bring the domains' covariances together."""
        for stream in (source, target_unlabelled):
            stream.require_rows(2, "strategy DeepCORAL")
        distance = VARIANTS[self.variant](source.features, target_unlabelled.features)
        return {"classify": self.classify(source, target), "align": self.weight * distance}
