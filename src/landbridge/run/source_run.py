"""The run that trains a source model for another run."""

import logging
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from landbridge.record import RECORD, Record

log = logging.getLogger(__name__)

#: Runs a configuration in a folder.
Train = Callable[[DictConfig, Path], Record]


def after_rehearsal(train: Train, rehearse: Callable[[], None]) -> Train:
    """Return a function that trains a source model, and finds the faults of the run that needs it first.

    Args:
        train: runs a configuration in a folder.
        rehearse: builds all parts of the run that needs the source model, without its weights.
    """

    def run(model: DictConfig, folder: Path) -> Record:
        if (folder / RECORD).exists() and Record.read(folder).status == "done":
            return train(model, folder)
        rehearse()
        log.info("start: trains the source model first, %d epochs, in %s", model.trainer.max_epochs, folder)
        record = train(model, folder)
        log.info("start: the source model is trained; now the run itself begins")
        return record

    return run
