"""Epochs after training that take no step, and show versions of what was trained to the selection rules."""

from abc import abstractmethod
from typing import Any, ClassVar, cast

from torch import Tensor

from landbridge.data.streams import Batch
from landbridge.strategies.supervised import TargetOnly


class FurtherEpochs(TargetOnly):
    """A strategy that trains for the epochs that are planned, and then puts one version after another into the network.

    Each version has an epoch of its own. So every selection rule scores all of them, and the configured one picks from
    them and from the epochs of training.

    Args:
        versions: how many.
        **base: see `Strategy`.
    """

    averages: ClassVar = False

    def __init__(self, versions: int, **base: Any) -> None:
        super().__init__(**base)
        self.versions = versions
        self.training_epochs = 0

    @abstractmethod
    def noted(self, version: int | None) -> dict[str, Any]:
        """Return what the record says of a version; of an epoch of training where it is None."""

    @abstractmethod
    def show(self, version: int) -> None:
        """Put a version into the network: a function of parameters and buffers, so that it resumes."""

    def setup(self, stage: str) -> None:
        """Plan an epoch for each version after those that train."""
        super().setup(stage)
        if stage == "fit":
            self.training_epochs = cast(int, self.trainer.max_epochs)
            self.trainer.fit_loop.max_epochs = self.training_epochs + self.versions
            self.data.reading_epochs = self.training_epochs

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
