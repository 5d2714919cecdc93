"""The start as it is."""

from typing import Any, ClassVar

from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy


class AsIs(Strategy):
    """Train nothing: test the model that the start has brought.

    Args:
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset()
    trains: ClassVar = False
    continues_source: ClassVar = True

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        if self.terms:
            raise LandbridgeError(f"terms: {', '.join(self.terms)} cannot act, for AsIs is never trained")

    def loss(self) -> dict[str, Tensor]:
        """Nothing is minimised."""
        return {}

    def parameter_counts(self) -> tuple[int, int]:
        """No parameter trains."""
        return super().parameter_counts()[0], 0
