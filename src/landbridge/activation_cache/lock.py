"""A lock on a file, for threads, processes and machines that share a disk."""

import fcntl
from pathlib import Path
from typing import Any, Literal


class Lock:
    """A shared or exclusive lock on a file.

    The lock is released at the end of a `with` block, when the object is deleted, and when the process ends for any
    reason. An error that is being handled keeps objects alive, so a lock that others wait for needs a `with` block.

    Args:
        path: path of the file.
        mode: `ab` creates the file if it does not exist; `rb` needs an existing file.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, mode: Literal["ab", "rb"] = "ab") -> None:
        self._file: Any = path.open(mode)

    def share(self) -> None:
        """Take a shared lock; wait while another process has an exclusive lock."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def own(self) -> None:
        """Take an exclusive lock; wait while another process has any lock."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def own_at_once(self) -> bool:
        """Take an exclusive lock if this needs no waiting; return whether the lock was taken."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
