"""Batch spectral penalisation."""

from typing import Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import bsp
from landbridge.strategies.dann import DANN
from landbridge.strategies.output import Output


class BSP(DANN):
    r"""Batch spectral penalisation beside an adversary (Chen et al., ICML 2019).

    DANN's loss $+\ \beta \sum_{i \le k} \bigl(\sigma_i(F_s)^2 + \sigma_i(F_t)^2\bigr)$ with the largest singular values
    of each domain's batch of features: an adversary lets a few directions dominate, so that classes blur, and the
    penalty holds these down. Its gradient is not reversed and its weight is constant, as in TLLib. Beside other
    strategies, such as CDAN, it is `terms=[bsp]`.

    Args:
        spectral_weight: of the penalty, $\beta$.
        k: how many singular values of each domain are penalised.
        **dann: see `DANN`.
    """

    def __init__(
        self, spectral_weight: Annotated[float, Ge(0)] = 2e-4, k: Annotated[int, Gt(0)] = 1, **dann: Any
    ) -> None:
        super().__init__(**dann)
        self.spectral_weight = spectral_weight
        self.k = k

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; confuse the critic; hold the largest singular values down."""
        penalty = self.spectral_weight * bsp(source.features, target_unlabelled.features, self.k)
        return {**super().loss(source, target_unlabelled, target), "spectrum": penalty}
