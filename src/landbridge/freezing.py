"""Which stages train, as a pure function of the epoch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge

from landbridge.errors import LandbridgeError


class Freezing(ABC):
    """A policy that says, for every epoch, which stages of a backbone train.

    It remembers nothing: asked again after a resume, it answers the same.
    """

    @abstractmethod
    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the indices of the stages that train in an epoch.

        Args:
            epoch: from 0 on.
            stages: names of the backbone's stages, from the input on.
        """


class Depth(Freezing):
    """Freeze the first `depth` stages throughout.

    Args:
        depth: how many stages, counted from the input, do not train; `all` leaves only the head.
    """

    def __init__(self, depth: Annotated[int, Ge(0)] | Literal["all"] = 0) -> None:
        self.depth = depth

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the stages after the frozen ones.

        Raises:
            LandbridgeError: there are fewer stages than are to be frozen.
        """
        depth = len(stages) if isinstance(self.depth, str) else self.depth
        if depth > len(stages):
            listed = ", ".join(f"{number} {name}" for number, name in enumerate(stages, start=1))
            raise LandbridgeError(f"freeze.depth={depth}: the backbone has {len(stages)} stages: {listed}")
        return frozenset(range(depth, len(stages)))
