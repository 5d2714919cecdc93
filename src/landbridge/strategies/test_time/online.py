"""The base of strategies that adapt a source model to one test batch after the other, without training."""

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
    """Adapt to a stream of test batches without labels, and restore the source model at the end of the stream.

    Results depend on the batch size and on the order of the samples. So both are part of the configuration. Every
    domain is a separate stream.

    Args:
        batch_size: number of test samples in a batch.
        order_seed: seed of the random order of the test samples. None means the order of the split, which is class by
            class in many data sets.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams=set(),
        trains=False,
        adapts_at_test=True,
        source_model=True,
        no_terms_because="it is never trained",
        unused_groups={"selection"},  # there are no epochs to select from
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
        """Return all tensors that adaptation changes, always in the same order."""

    def loss(self) -> dict[str, Tensor]:
        """Return no terms, because nothing is minimised before the test."""
        return {}

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of parameters, and the number of values that adaptation changes."""
        return super().parameter_counts()[0], sum(tensor.numel() for tensor in self.adapted())

    def on_predict_start(self) -> None:
        """Store a copy of the source model's tensors that adaptation changes."""
        self._source = [tensor.detach().clone() for tensor in self.adapted()]

    def on_predict_end(self) -> None:
        """Restore the source model, so that this stream has no influence on the next."""
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Restore the source model."""
        for tensor, source in zip(self.adapted(), self._source, strict=True):
            tensor.copy_(source)

    def require_rows(self, batch: dict[str, Any]) -> None:
        """Refuse a batch of one sample, because it has no variance.

        Raises:
            LandbridgeError: the batch has only one sample.
        """
        if len(batch["index"]) < 2:
            raise LandbridgeError(
                f"strategy {type(self).__name__}: a test batch of one sample ({batch['stream']}) has no statistics; "
                f"choose another strategy.batch_size than {self.test_batch_size}, so that the last batch has more than "
                "one sample"
            )
