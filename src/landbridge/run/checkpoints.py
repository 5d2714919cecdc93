"""The checkpoints of a run: the last epoch, to resume from, and the epochs that the selection rule may choose."""

import os
import shutil
import time
from collections.abc import Set
from copy import deepcopy
from pathlib import Path
from types import NoneType
from typing import Any, cast

from pytorch_lightning import Trainer
from torch import Tensor

from landbridge.errors import LandbridgeError

LAST = "last.ckpt"
SELECTED = "selected.ckpt"


class Checkpoints:
    """Writes checkpoints. Each file is written completely or not at all.

    If a run is killed, it resumes from `last.ckpt` and repeats the later epochs. Therefore `selected.ckpt` is never
    older than the choice of epoch in `last.ckpt`.

    Args:
        folder: folder of the checkpoints.
        every: seconds between two checkpoints. If an epoch ends earlier, no checkpoint is written; if the rule prefers
            this epoch, its checkpoint is kept in memory. The last epoch is always written. 0 writes every epoch.
    """

    def __init__(self, folder: Path, every: float) -> None:
        self.folder = folder
        self.every = every
        self._written = time.monotonic()
        self._waiting: dict[str, Any] | None = None

    def keep(self, trainer: Trainer, preferred: str | None) -> None:
        """Write a checkpoint of the epoch that has just ended, or keep it in memory. All processes call this method.

        The checkpoint is written if `every` seconds have passed since the last one, or if training ends. Otherwise it
        is kept in memory if the rule prefers this epoch, and dropped if not. A checkpoint in memory is written as
        `selected.ckpt` together with the next `last.ckpt`, unless the rule prefers a later epoch by then.

        Example:
            `every` is 60, there are four epochs of 20 seconds each, and the rule prefers the second epoch. The second
            call keeps this epoch in memory. The third call writes the third epoch as `last.ckpt` and the second one as
            `selected.ckpt`. The fourth call replaces `last.ckpt`, because training ends.

        Args:
            trainer: the trainer at the end of an epoch.
            preferred: name of a second file for this epoch, if the rule prefers the epoch; else None.

        Raises:
            LandbridgeError: the checkpoint cannot be written.
        """
        ended = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        due = ended or time.monotonic() - self._written >= self.every
        # All processes must decide alike, because each of them contributes to the checkpoint.
        due, preferred = trainer.strategy.broadcast((due, preferred))
        if due:
            try:
                self._write(trainer, preferred)
            except OSError as error:
                reason = error.strerror or error
                raise LandbridgeError(f"cannot write a checkpoint to {self.folder}: {reason}") from error
            self._written = time.monotonic()
        elif preferred:
            # The content that `save_checkpoint` would write.
            content = trainer._checkpoint_connector.dump_checkpoint()
            strategy: Any = trainer.lightning_module
            self._waiting = _as_it_is(content, strategy.unchanging) if trainer.is_global_zero else {}

    def leave_out(self, seconds: float) -> None:
        """Do not count the last seconds, in which another run of this process has worked."""
        self._written += seconds

    def _write(self, trainer: Trainer, preferred: str | None) -> None:
        last, selected = (self.folder / f"{name}.part" for name in (LAST, SELECTED))
        waits = self._waiting is not None and not preferred
        if waits:
            trainer.strategy.save_checkpoint(cast(dict[str, Any], self._waiting), selected)
        trainer.save_checkpoint(last)
        if trainer.is_global_zero:
            if preferred:
                copy_checkpoint(last, self.folder / preferred)
            elif waits:
                selected.replace(self.folder / SELECTED)
            last.replace(self.folder / LAST)
        self._waiting = None


def _as_it_is(content: dict[str, Any], unchanging: Set[str]) -> dict[str, Any]:
    """Copy the content of a checkpoint, but for weights that stay as they are."""
    weights = content.pop("state_dict")
    kept = {name: value if name in unchanging else _copied(value) for name, value in weights.items()}
    return {"state_dict": kept, **{name: _copied(value) for name, value in content.items()}}


def _copied(value: Any) -> Any:
    """Copy plain containers and tensors entry by entry, which is much faster than `deepcopy`."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if type(value) in (int, float, str, bool, NoneType):
        return value
    if type(value) is dict:
        return {name: _copied(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return deepcopy(value)


def copy_checkpoint(origin: Path, destination: Path) -> None:
    """Copy a file to another place at once, so that readers never see half of it."""
    draft = destination.with_name(f"{destination.name}.part{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        # A hard link is safe: Lightning never writes into an existing file, but replaces it by a new one.
        draft.hardlink_to(origin)
    except OSError:
        shutil.copyfile(origin, draft)
    draft.replace(destination)
