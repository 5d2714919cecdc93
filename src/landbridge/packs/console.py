"""What each member of a pack prints and logs, in files of its own folder, as a single run does."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

#: The output of a job, and its log with time, name and level.
CONSOLE, LOG = "console.log", "landbridge.log"
TIMED = "[%(asctime)s][%(name)s][%(levelname)s] %(message)s"


class Console:
    """Sends the output of each thread to the folder of its member, and that of other threads to the process's own."""

    def __init__(self) -> None:
        self._folders: dict[int, Path] = {}

    def belongs_to(self, folder: Path) -> None:
        """Send the output of this thread to a folder, from now on."""
        self._folders[threading.get_ident()] = folder

    @property
    def folder(self) -> Path | None:
        """The folder of this thread; None for threads without one."""
        return self._folders.get(threading.get_ident())

    @contextmanager
    def open(self) -> Iterator[None]:
        """Within the block, route standard output, standard error, and messages of the log."""
        root, level, before = logging.getLogger(), logging.getLogger().level, (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = _Routed(self, sys.stdout), _Routed(self, sys.stderr)
        bare, timed = _ToThread(), _ToFile(self)
        bare.setFormatter(logging.Formatter("%(message)s"))
        timed.setFormatter(logging.Formatter(TIMED))
        handlers, root.handlers = root.handlers, [bare, timed]
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            root.handlers = handlers
            root.setLevel(level)


class _Routed:
    """A text stream whose text goes to the folder of the thread that writes."""

    def __init__(self, console: Console, own: TextIO) -> None:
        self._console = console
        self._own = own

    def write(self, text: str) -> int:
        folder = self._console.folder
        if folder is None:
            return self._own.write(text)
        with (folder / CONSOLE).open("a") as file:
            return file.write(text)

    def isatty(self) -> bool:
        return self._console.folder is None and self._own.isatty()

    def __getattr__(self, name: str) -> object:
        return getattr(self._own, name)


class _ToThread(logging.Handler):
    """Writes messages to the standard error of the moment, which is that of the thread."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


class _ToFile(logging.Handler):
    """Writes messages to the log in the folder of the thread."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if folder := self._console.folder:
            with (folder / LOG).open("a") as file:
                file.write(self.format(record) + "\n")
