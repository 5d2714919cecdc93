"""What `run` asks of a cache, and the cache that does nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import Trainer

from landbridge.data.inputs import Inputs
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.strategies.base import Strategy


class Cache:
    """Gives a run what it would otherwise compute again; this one knows nothing."""

    def attach(
        self,
        strategy: Strategy,
        data: TransferData,
        splits: Sequence[Inputs],
        trainer: Trainer,
        backbone: Mapping[str, Any],
    ) -> TransferStreams:
        """Return the streams of a transfer such that they read cached activations, which are computed if need be.

        Args:
            strategy: with the weights that it begins with.
            data: reads the streams as they are.
            splits: the inputs of every split of every domain.
            trainer: says on which device, with which precision and for how many epochs.
            backbone: the backbone's configuration.
        """
        return data.streams

    def require_unchanged(self) -> None:
        """Refuse to answer for stages that have changed; see `ActivationCache`."""

    def report(self) -> dict[str, Any]:
        """Return what it did, for the record's cost."""
        return {}


class Off(Cache):
    """Computes everything anew."""
