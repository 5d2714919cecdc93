"""A run's folder: reads the record and checkpoint of an earlier session, and writes the record of this one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_only

from landbridge.errors import LandbridgeError
from landbridge.record import OUTPUTS, RECORD, SAMPLES, Record, differences
from landbridge.run.checkpoints import LAST, SELECTED
from landbridge.run.interruption import interruption, request_to_stop

log = logging.getLogger(__name__)

#: Files that a run writes and replaces, in addition to its record.
WRITTEN = (OUTPUTS, SAMPLES, LAST, SELECTED)
#: Settings of loggers that become folders below the run's folder.
FOLDERS = ("name", "version", "sub_dir")


class RunFolder:
    """The folder of a run, with the run's record in it.

    Args:
        path: the folder; it is created if it does not exist.
        record: record of the run.

    Raises:
        LandbridgeError: the folder cannot be created, it holds files of these names that no run has written, or the
            logger would write outside of it.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record
        self._keep_foreign_files()
        self._keep_logger_inside()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LandbridgeError(f"cannot create the folder {path}: {error.strerror}") from error

    def _keep_foreign_files(self) -> None:
        """Refuse to replace files of the user. A folder with a record is one of landbridge, and its files are too."""
        if (self.path / RECORD).exists():
            return
        found = [self.path / name for name in WRITTEN if (self.path / name).exists()]
        if found:
            raise LandbridgeError(
                f"{found[0]}: landbridge did not write this file, and would replace it; choose another hydra.run.dir "
                f"or move the file"
            )

    def _keep_logger_inside(self) -> None:
        """Refuse a logger whose files would be outside of the folder of the run."""
        logger = self.record.config.get("logger") or {}
        if "Wandb" in logger.get("_target_", ""):
            return  # its name is a title, and no folder
        home = self.path.resolve()
        for setting in FOLDERS:
            value = logger.get(setting)
            if isinstance(value, str) and not (home / value).resolve().is_relative_to(home):
                raise LandbridgeError(
                    f"logger.{setting}={value} leads out of the folder of the run; use a name without .. and without a "
                    f"leading slash"
                )

    def write(self) -> None:
        """Write the record. If a run has several processes, only the first one writes.

        A run with one process always writes. An example is the run that trains a source model: any process of the main
        run may train it, while the other processes wait.
        """
        trainer = self.record.config["trainer"]
        alone = trainer.get("devices") == 1 and trainer.get("num_nodes", 1) == 1
        write = self.record.write if alone else rank_zero_only(self.record.write)
        write(self.path)

    def finished(self) -> Record | None:
        """Return the record of the same run if the folder holds it and the run is done; else None.

        Raises:
            LandbridgeError: the folder holds the record of another run.
        """
        earlier = self._earlier()
        if earlier and earlier.fingerprint not in (None, self.record.fingerprint):
            differs = differences(self.record.config, earlier.config)
            raise LandbridgeError(
                f"{self.path} holds the record of another run ({differs}): choose another hydra.run.dir"
            )
        if earlier and earlier.status == "done":
            log.info("this run is already finished: %s", self.path)
            return earlier
        return None

    def checkpoint(self) -> Path | None:
        """Return the checkpoint from which an interrupted run resumes; None if there is none or it is damaged."""
        path = self.path / LAST
        if not self._earlier() or not path.exists():
            return None
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            log.warning("%s is damaged (%s): training starts from the beginning", path, type(error).__name__)
            return None
        log.info("training resumes from %s", path)
        return path

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Write a record with the reason if the block fails."""
        try:
            yield
        except BaseException as error:
            stopped = interruption(error)
            self.record.status = "failed"
            self.record.reason = stopped or f"{type(error).__name__}: {error}"
            if self._is_ours():
                self.write()
            if stopped:
                log.warning("%s; the same command with hydra.run.dir=%s resumes this run", stopped, self.path)
            request = request_to_stop(error)
            if request is not None and request is not error:
                raise request from None
            if stopped and request is None:
                raise LandbridgeError(f"{stopped}; the same command resumes this run") from error
            raise

    def _earlier(self) -> Record | None:
        return Record.read(self.path) if (self.path / RECORD).exists() else None

    def _is_ours(self) -> bool:
        # The record of another run must not be replaced, nor a record that cannot be read.
        try:
            earlier = self._earlier()
        except LandbridgeError:
            return False
        return earlier is None or earlier.fingerprint in (None, self.record.fingerprint)
