"""The base class of caches, and the cache that does nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import Trainer

from landbridge.data.inputs import Inputs
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.strategies.base import Strategy


class Cache:
    """Base class: replaces computations of a run by cached results. This class caches nothing."""

    def attach(
        self,
        strategy: Strategy,
        data: TransferData,
        tested: Sequence[Inputs],
        trainer: Trainer,
        backbone: Mapping[str, Any],
    ) -> TransferStreams:
        """Return streams that read cached activations; compute the missing ones.

        Args:
            strategy: the strategy, with its initial weights.
            data: the streams without a cache, and their batch sizes.
            tested: the inputs of the test splits that will be predicted after training.
            trainer: has the device, the precision and the number of epochs.
            backbone: the backbone's configuration.
        """
        return data.streams

    def require_unchanged(self) -> None:
        """Check that no cached stage has changed; see `ActivationCache`."""

    def report(self) -> dict[str, Any]:
        """Return the counts of the cache, for the record's cost."""
        return {}


class Off(Cache):
    """Caches nothing: everything is computed again."""
