"""The files in which a run keeps epochs: the last one, to go on from, and those that a rule may choose."""

import shutil
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning import Trainer
from torch import Tensor

from landbridge.errors import LandbridgeError

LAST = "last.ckpt"
SELECTED = "selected.ckpt"


class Checkpoints:
    """Writes checkpoints, each whole or not at all.

    A run that is killed repeats the epochs after the last one written. What the rule chooses from is therefore never
    older on the disk than `last.ckpt`.

    Args:
        folder: where they go.
        every: seconds in which one is enough. An epoch that ends sooner after the last one written waits in memory if
            the rule prefers it. The end of training is always written; 0 writes every epoch.
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
        ended = trainer.current_epoch + 1 == trainer.max_epochs
        due = ended or time.monotonic() - self._written >= self.every
        if trainer.strategy.broadcast(due):
            try:
                self._write(trainer, preferred)
            except OSError as error:
                reason = error.strerror or error
                raise LandbridgeError(f"cannot keep a checkpoint in {self.folder}: {reason}") from error
            self._written = time.monotonic()
        elif preferred:
            # What `save_checkpoint` would write, as it is now. Its hundreds of weights need not be searched for.
            content = trainer._checkpoint_connector.dump_checkpoint()
            weights = {name: _copied(value) for name, value in content.pop("state_dict").items()}
            self._waiting = apply_to_collection(content, Tensor, _copied) | {"state_dict": weights}

    def _write(self, trainer: Trainer, preferred: str | None) -> None:
        draft = self.folder / f"{LAST}.part"
        if self._waiting and not preferred:
            trainer.strategy.save_checkpoint(self._waiting, draft)
            if trainer.is_global_zero:
                draft.replace(self.folder / SELECTED)
        self._waiting = None
        trainer.save_checkpoint(draft)
        if trainer.is_global_zero:
            if preferred:
                _copy(draft, self.folder / preferred)
            draft.replace(self.folder / LAST)


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
