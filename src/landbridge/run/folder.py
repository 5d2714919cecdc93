"""A run's folder: what an earlier run left there, and the record that this one leaves, however it ends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_only

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, Record
from landbridge.run.checkpoints import LAST

log = logging.getLogger(__name__)


class RunFolder:
    """The folder of a run, with the run's record in it.

    Args:
        path: the folder, which is made if need be.
        record: of the run.

    Raises:
        LandbridgeError: the folder cannot be made.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LandbridgeError(f"cannot make the folder {path}: {error.strerror}") from error

    def write(self) -> None:
        """Write the record: of several processes the first, and one that runs alone whichever it is.

        So does the one of them that comes first to training the source model, while the others wait.
        """
        trainer = self.record.config["trainer"]
        alone = trainer.get("devices") == 1 and trainer.get("num_nodes", 1) == 1
        write = self.record.write if alone else rank_zero_only(self.record.write)
        write(self.path)

    def finished(self) -> Record | None:
        """Return the record of the same run, if the folder holds it and it is done.

        Raises:
            LandbridgeError: the folder holds the record of another run.
        """
        earlier = self._earlier()
        if earlier and earlier.fingerprint not in (None, self.record.fingerprint):
            raise LandbridgeError(f"{self.path} holds the record of another run; choose another hydra.run.dir")
        if earlier and earlier.status == "done":
            log.info("this run is finished already: %s", self.path)
            return earlier
        return None

    def checkpoint(self) -> Path | None:
        """Return the checkpoint from which an interrupted run goes on, if there is one and it is whole."""
        path = self.path / LAST
        if not self._earlier() or not path.exists():
            return None
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            log.warning("%s is damaged (%s): starting anew", path, type(error).__name__)
            return None
        log.info("going on from %s", path)
        return path

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Leave a record that says why, if the block fails."""
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
            self.record.status = "failed"
            self.record.reason = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
            if self._is_ours():
                self.write()
            if interrupted:
                log.warning("interrupted; the same command with hydra.run.dir=%s goes on from there", self.path)
            if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
                # Lightning turns the one into the other, and forgets why.
                raise KeyboardInterrupt from error
            raise

    def _earlier(self) -> Record | None:
        return Record.read(self.path) if (self.path / RECORD).exists() else None

    def _is_ours(self) -> bool:
        # Another run's record is not ours to replace, nor is one that cannot be read.
        try:
            earlier = self._earlier()
        except LandbridgeError:
            return False
        return earlier is None or earlier.fingerprint in (None, self.record.fingerprint)
