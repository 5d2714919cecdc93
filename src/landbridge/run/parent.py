"""Goes on from a finished run with more epochs, as a new run that names its parent."""

from collections.abc import Mapping, Sequence, Set
from copy import deepcopy
from pathlib import Path
from typing import Any

from landbridge.config.build import build
from landbridge.config.defaults import with_defaults
from landbridge.errors import LandbridgeError
from landbridge.record import Record, differences, fingerprint
from landbridge.run.checkpoints import LAST, SELECTED, copy_checkpoint
from landbridge.training.freezing import Freezing


class Parent:
    """A finished run whose last epoch is the begin of a run with more epochs.

    The new run continues with the weights, the state of the optimizer, the order of samples and the random numbers of
    its parent. Whatever depends on the progress of training, such as the learning rate, goes by the new plan.

    Args:
        folder: the parent's folder, as the setting `continues` names it.

    Raises:
        LandbridgeError: there is no such run, it is not finished, or it has no further epochs to train.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).expanduser()
        self.name = f"continues={folder}"
        try:
            self.record = Record.read(self.folder)
        except LandbridgeError as error:
            raise LandbridgeError(f"{self.name}: {error}") from error
        self.epochs: int = self.record.config.get("trainer", {}).get("max_epochs", 0)
        if self.record.status != "done":
            raise LandbridgeError(f"{self.name}: this run is not finished: the same command as before resumes it")
        if self.record.selection.get("oracle"):
            raise LandbridgeError(f"{self.name}: a run with an oracle does not keep what a longer run must compare")
        if not self.record.epochs or len(self.record.epochs) != self.epochs:
            raise LandbridgeError(f"{self.name}: the last epoch of this run is not one of training")
        if not (self.folder / LAST).is_file():
            raise LandbridgeError(f"{self.name}: the folder has no {LAST}")

    @property
    def epochs_at_source(self) -> int:
        """The epochs of the source model of `start=source`, if not set: those that the first ancestor planned."""
        return (self.record.parent or {}).get("epochs_at_source", self.epochs)

    def require_same(self, config: Mapping[str, Any], contents: Mapping[str, str], ignored: Set[str]) -> None:
        """Refuse a run that differs from its parent in more than the number of epochs.

        Args:
            config: resolved configuration of the new run.
            contents: fingerprints of its data and files.
            ignored: config groups without effect on its strategy.

        Raises:
            LandbridgeError: names a difference.
        """
        if (planned := config["trainer"]["max_epochs"]) <= self.epochs:
            raise LandbridgeError(
                f"{self.name}: trainer.max_epochs={planned} counts all epochs, and this run has {self.epochs}: set more"
            )
        same = deepcopy(dict(config))
        same["trainer"]["max_epochs"] = self.epochs
        theirs = {"continues": self.record.parent["fingerprint"]} if self.record.parent else {}
        if fingerprint(with_defaults(same), {**contents, **theirs}, ignored) == self.record.fingerprint:
            return
        raise LandbridgeError(
            f"{self.name}: only trainer.max_epochs may differ from that run, but "
            f"{differences(same, self.record.config, ignored)}; "
            f"to train its weights with other settings, set start=checkpoint start.path={self.folder / LAST}"
        )

    def require_same_stages(self, freeze: Any, epochs: int, stages: Sequence[str]) -> None:
        """Refuse a freezing policy that would have trained other stages in the parent's epochs.

        Args:
            freeze: configuration of the policy.
            epochs: planned epochs of the new run.
            stages: names of the backbone's stages.
        """
        old, new = (_plan(build(freeze, epochs=planned), self.epochs, stages) for planned in (self.epochs, epochs))
        if old != new:
            raise LandbridgeError(
                f"{self.name}: the freezing policy divides the planned epochs, so a run of {epochs} epochs would have "
                "trained other stages in its first ones: start a new run"
            )

    def adopt(self, folder: Path) -> Path:
        """Copy the checkpoints into the folder of the new run, and return the one to resume from."""
        if (self.folder / SELECTED).is_file():
            copy_checkpoint(self.folder / SELECTED, folder / SELECTED)
        copy_checkpoint(self.folder / LAST, folder / LAST)
        return folder / LAST

    def note(self) -> dict[str, Any]:
        """Return the entry of the new run's record."""
        return {
            "folder": str(self.folder),
            "fingerprint": self.record.fingerprint,
            "epochs": self.epochs,
            "epochs_at_source": self.epochs_at_source,
        }


def _plan(policy: Freezing, epochs: int, stages: Sequence[str]) -> list[Any]:
    return [policy.ever(stages), *((policy.trainable(each, stages), policy.lr_scale(each)) for each in range(epochs))]
