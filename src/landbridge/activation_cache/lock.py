"""A lock on a file, among threads, processes, and machines that share a disk."""

import fcntl
from pathlib import Path
from typing import Any, Literal


class Lock:
    """A lock that many may hold together, or one alone, until it is forgotten or the process ends, however it ends.

    Args:
        path: of the file.
        mode: `ab` makes the file if need be, `rb` wants it to be there.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, mode: Literal["ab", "rb"] = "ab") -> None:
        self._file: Any = path.open(mode)

    def share(self) -> None:
        """Wait until nobody holds it alone, and hold it together with others."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def own(self) -> None:
        """Wait until nobody else holds it, and hold it alone."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def own_at_once(self) -> bool:
        """Hold it alone if nobody else holds it now; say whether that is so."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
