"""Fine-tuning that shrinks the smallest singular values of its features."""

from typing import Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import bss
from landbridge.strategies.output import Output
from landbridge.strategies.supervised import TargetOnly


class BSS(TargetOnly):
    r"""Batch spectral shrinkage (Chen et al., "Catastrophic Forgetting Meets Negative Transfer", NeurIPS 2019).

    $\mathrm{CE}(g_t, y_t) + \eta \sum_{i=1}^k \sigma_{-i}(F_t)^2$ over the smallest singular values of a batch's
    features (n, d): directions of little energy are taken to be those that transfer badly. With n < d it is the
    smallest of the n that there are. The paper adds it to other regularisers too, as the term `bss` does. It is for
    fine-tuning; `bsp`, the penalty on the largest singular values, is for adaptation.

    Args:
        weight: of the penalty, $\eta$.
        k: how many singular values.
        **base: see `Strategy`.
    """

    def __init__(self, weight: Annotated[float, Ge(0)] = 1e-3, k: Annotated[int, Gt(0)] = 1, **base: Any) -> None:
        super().__init__(**base)
        self.weight = weight
        self.k = k

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Classify target samples; shrink."""
        return super().loss(target) | {"shrink": self.weight * bss(target.features, self.k)}
