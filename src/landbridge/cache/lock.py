"""A lock that many may hold together, or one alone: among threads, processes, and machines that share a disk."""

import fcntl
from pathlib import Path
from typing import Any


class Lock:
    """A lock on a file, held until it is forgotten or until the process ends, however it ends.

    Args:
        path: of the file, which is made if need be. It is never removed: another process may be waiting for it.
    """

    def __init__(self, path: Path) -> None:
        self._file: Any = path.open("ab")

    def share(self) -> None:
        """Wait until nobody holds it alone, and hold it together with others."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def own(self) -> None:
        """Wait until nobody else holds it, and hold it alone. Between sharing and owning, others may own it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def owned_at_once(self) -> bool:
        """Hold it alone if nobody else holds it now; say whether that is so."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __del__(self) -> None:
        self._file.close()
