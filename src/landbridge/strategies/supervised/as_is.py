"""A model that is tested without training."""

from typing import ClassVar

from torch import Tensor

from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements


class AsIs(Strategy):
    """Train nothing, and test the initial model.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams=set(), trains=False, source_model=True, no_terms_because="it is never trained"
    )

    def loss(self) -> dict[str, Tensor]:
        """Return no terms, because nothing is minimised."""
        return {}

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of parameters, and 0, because no parameter trains."""
        return super().parameter_counts()[0], 0
