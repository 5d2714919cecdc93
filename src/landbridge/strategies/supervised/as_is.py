"""The start as it is."""

from typing import ClassVar

from torch import Tensor

from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements


class AsIs(Strategy):
    """Train nothing: test the model that the start has brought.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams=set(), trains=False, source_model=True, no_terms_because="it is never trained"
    )

    def loss(self) -> dict[str, Tensor]:
        """Nothing is minimised."""
        return {}

    def parameter_counts(self) -> tuple[int, int]:
        """No parameter trains."""
        return super().parameter_counts()[0], 0
