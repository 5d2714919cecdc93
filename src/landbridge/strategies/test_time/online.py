"""The base of strategies that are never trained: they adapt a source model to test batches as they come."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements


class OnlineAdaptation(Strategy):
    """Adapt to a stream of test batches without labels, and go back to the source model at its end.

    Results depend on how samples arrive, so that is part of the configuration. Every domain is a stream of its own.

    Args:
        batch_size: test samples that arrive together.
        order_seed: of the random order in which they arrive; None: as the split holds them, which for many data sets
            is class by class.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams=set(),
        trains=False,
        adapts_at_test=True,
        source_model=True,
        no_terms_because="it is never trained",
        ignored_groups={"selection"},  # there are no epochs to select from
    )

    def __init__(
        self, batch_size: Annotated[int, Gt(0)] = 200, order_seed: Annotated[int, Ge(0)] | None = 0, **base: Any
    ) -> None:
        super().__init__(**base)
        self.test_batch_size = batch_size
        self.test_order_seed = order_seed
        self._source: list[Tensor] = []

    @abstractmethod
    def adapted(self) -> Iterable[Tensor]:
        """Return all that adaptation changes, always in the same order."""

    def loss(self) -> dict[str, Tensor]:
        """Nothing is minimised before the test."""
        return {}

    def parameter_counts(self) -> tuple[int, int]:
        """Count as trainable what adaptation changes."""
        return super().parameter_counts()[0], sum(tensor.numel() for tensor in self.adapted())

    def on_predict_start(self) -> None:
        """Keep the source model."""
        self._source = [tensor.detach().clone() for tensor in self.adapted()]

    def on_predict_end(self) -> None:
        """Leave nothing of this stream to the next."""
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Go back to the source model."""
        for tensor, source in zip(self.adapted(), self._source, strict=True):
            tensor.copy_(source)

    def require_rows(self, batch: dict[str, Any]) -> None:
        """Refuse a batch of one sample, which has no variance.

        Raises:
            LandbridgeError: it has only one.
        """
        if len(batch["index"]) < 2:
            raise LandbridgeError(
                f"strategy {type(self).__name__}: a test batch of one sample ({batch['stream']}) has no statistics; "
                f"choose another strategy.batch_size than {self.test_batch_size}, which may leave one over"
            )
