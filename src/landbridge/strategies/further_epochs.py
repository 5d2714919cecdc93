"""Epochs after training without steps. Each puts one version of the trained model before the selection rules."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from landbridge.data.streams import Batch
from landbridge.strategies.supervised.supervised import TargetOnly


class FurtherEpochs(TargetOnly):
    """A strategy that trains for the planned epochs, and then evaluates several versions of the trained model.

    Each version is put into the network for one further epoch. So every selection rule scores all versions. The
    configured rule chooses one of the versions or one of the training epochs.

    Args:
        versions: number of versions.
        **base: see `Strategy`.
    """

    requirements: ClassVar = TargetOnly.requirements.but(can_be_averaged=False)

    def __init__(self, versions: int, **base: Any) -> None:
        super().__init__(**base)
        self.versions = self.further_epochs = versions
        self.training_epochs = self.trainable.policy.epochs

    @abstractmethod
    def noted(self, version: int | None) -> dict[str, Any]:
        """Return the record's entries for a version. None means an epoch of training."""

    @abstractmethod
    def show(self, version: int) -> None:
        """Put a version into the network.

        The version depends only on parameters and buffers, so that a resumed run shows the same version.
        """

    def on_train_epoch_start(self) -> None:
        """Start an epoch of training or, after the planned epochs, show the version of this epoch."""
        super().on_train_epoch_start()
        version = self.current_epoch - self.training_epochs
        self.automatic_optimization = version < 0
        self.note = self.noted(None if version < 0 else version)
        if version >= 0:
            self.show(version)

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor | None:
        """Take a step in the planned epochs, and none in further epochs."""
        return super().training_step(batch, batch_idx) if self.automatic_optimization else None
