"""The files in which a run keeps epochs: the last one, to go on from, and those that a rule may choose."""

import shutil
import time
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning import Trainer
from torch import Tensor

from landbridge.errors import LandbridgeError

LAST = "last.ckpt"
SELECTED = "selected.ckpt"


class Checkpoints:
    """Writes checkpoints, each whole or not at all.

    A run that is killed repeats the epochs after the last one written. `selected.ckpt` is therefore never older than
    the choice that `last.ckpt` notes.

    Args:
        folder: where they go.
        every: seconds in which one is enough. An epoch that ends sooner after the last one written waits in memory if
            the rule prefers it. The last epoch is always written; 0 writes every epoch.
    """

    def __init__(self, folder: Path, every: float) -> None:
        self.folder = folder
        self.every = every
        self._written = time.monotonic()
        self._waiting: dict[str, Any] | None = None

    def keep(self, trainer: Trainer, preferred: str | None) -> None:
        """Keep the epoch that has just ended. All processes call it.

        Args:
            trainer: at the end of an epoch.
            preferred: the name under which the epoch is kept beside `last.ckpt`, where the rule may choose it.

        Raises:
            LandbridgeError: there is no place for it.
        """
        ended = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        due = ended or time.monotonic() - self._written >= self.every
        # Processes must agree: each of them takes part in putting a checkpoint together.
        due, preferred = trainer.strategy.broadcast((due, preferred))
        if due:
            try:
                self._write(trainer, preferred)
            except OSError as error:
                reason = error.strerror or error
                raise LandbridgeError(f"cannot keep a checkpoint in {self.folder}: {reason}") from error
            self._written = time.monotonic()
        elif preferred:
            # What `save_checkpoint` would write.
            content = trainer._checkpoint_connector.dump_checkpoint()
            self._waiting = _as_it_is(content) if trainer.is_global_zero else {}

    def _write(self, trainer: Trainer, preferred: str | None) -> None:
        last, selected = (self.folder / f"{name}.part" for name in (LAST, SELECTED))
        waits = self._waiting is not None and not preferred
        if waits:
            trainer.strategy.save_checkpoint(cast(dict[str, Any], self._waiting), selected)
        trainer.save_checkpoint(last)
        if trainer.is_global_zero:
            if preferred:
                _copy(last, self.folder / preferred)
            elif waits:
                selected.replace(self.folder / SELECTED)
            last.replace(self.folder / LAST)
        self._waiting = None


def _as_it_is(content: dict[str, Any]) -> dict[str, Any]:
    """Copy a checkpoint's content; the search for tensors is slow where there are hundreds, as among the weights."""
    weights = {name: _copied(value) for name, value in content.pop("state_dict").items()}
    return apply_to_collection(content, Tensor, _copied) | {"state_dict": weights}


def _copied(value: Any) -> Any:
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else deepcopy(value)


def _copy(origin: Path, destination: Path) -> None:
    draft = destination.with_name(f"{destination.name}.part")
    draft.unlink(missing_ok=True)
    try:
        # Lightning too puts a new file in the place of an old one, and never writes into it.
        draft.hardlink_to(origin)
    except OSError:
        shutil.copyfile(origin, draft)
    draft.replace(destination)
