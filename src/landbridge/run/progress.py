"""Lines about the progress of training, for logs and pipes, where there is no progress bar."""

import logging
import time
from datetime import timedelta

log = logging.getLogger(__name__)

#: Seconds between two lines at least. Short runs therefore log none.
BETWEEN = 30.0


class Progress:
    """Logs the number of epochs that are done.

    Args:
        name: name of the run, for the lines.
        epochs: planned number of epochs.
    """

    def __init__(self, name: str, epochs: int) -> None:
        self.name = name
        self.epochs = epochs
        self._began = self._told = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int) -> None:
        """Log one line, unless the last one is too recent.

        Args:
            done: number of epochs that are done, those of earlier sessions included.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1
        if now - self._told < BETWEEN or done > self.epochs:
            return
        self._told = now
        left = (now - self._began) / (done - self._first) * (self.epochs - done)
        log.info("%s: epoch %d of %d, about %s left", self.name, done, self.epochs, timedelta(seconds=round(left)))
