"""A lock that allows one sweep at a time in a folder."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from landbridge.errors import LandbridgeError

LOCK = ".lock"
#: Seconds to wait until the jobs of a killed sweep have ended.
PATIENCE = 20.0


def lock(folder: Path) -> int:
    """Lock a folder, and return the file descriptor that holds the lock.

    The lock is released when no process has the descriptor open any more. The sweep, its helper and its jobs keep it
    open. So a new sweep cannot start in a folder while a job of an earlier sweep still writes there.

    Raises:
        LandbridgeError: another sweep runs there, or the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise LandbridgeError(f"cannot use the folder {folder}: {error.strerror}") from error
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_open(folder / LOCK, descriptor):  # `forget` has removed it in the meantime
                os.close(descriptor)
                return lock(folder)
            break
        except BlockingIOError:
            owner = os.pread(descriptor, 100, 0).decode().strip()
            if (owner.isdecimal() and lives(int(owner))) or time.monotonic() > deadline:
                os.close(descriptor)
                raise LandbridgeError(
                    f"another sweep runs in {folder} (process {owner}): "
                    "wait until it ends, or set another hydra.sweep.dir"
                ) from None
            time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def forget(folder: Path) -> None:
    """Remove a locked folder in which no job has been, so that a refused sweep leaves nothing behind."""
    if [path.name for path in folder.iterdir()] != [LOCK]:
        return
    (folder / LOCK).unlink()
    for empty in (folder, *folder.resolve().parents):
        if Path.cwd() in empty.resolve().parents:
            with suppress(OSError):
                empty.rmdir()


def _is_open(path: Path, descriptor: int) -> bool:
    """Return whether a path is still that of an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def lives(pid: int) -> bool:
    """Return whether there is a process with this number, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
