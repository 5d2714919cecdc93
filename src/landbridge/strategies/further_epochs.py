"""Epochs after training that take no step, and show versions of what was trained to the selection rules."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from landbridge.data.streams import Batch
from landbridge.strategies.supervised.supervised import TargetOnly


class FurtherEpochs(TargetOnly):
    """A strategy that trains for the epochs that are planned, and then puts one version after another into the network.

    Each version has an epoch of its own. So every selection rule scores all of them, and the configured one picks from
    them and from the epochs of training.

    Args:
        versions: how many.
        **base: see `Strategy`.
    """

    requirements: ClassVar = TargetOnly.requirements.but(can_be_averaged=False)

    def __init__(self, versions: int, **base: Any) -> None:
        super().__init__(**base)
        self.versions = self.further_epochs = versions
        self.training_epochs = self.trainable.policy.epochs

    @abstractmethod
    def noted(self, version: int | None) -> dict[str, Any]:
        """Return what the record says of a version; of an epoch of training where it is None."""

    @abstractmethod
    def show(self, version: int) -> None:
        """Put a version into the network: a function of parameters and buffers, so that it resumes."""

    def on_train_epoch_start(self) -> None:
        """Train or, once that is done, show the epoch's version."""
        super().on_train_epoch_start()
        version = self.current_epoch - self.training_epochs
        self.automatic_optimization = version < 0
        self.note = self.noted(None if version < 0 else version)
        if version >= 0:
            self.show(version)

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor | None:
        """Take a step while there is something to learn."""
        return super().training_step(batch, batch_idx) if self.automatic_optimization else None
