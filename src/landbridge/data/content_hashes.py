"""Hashes of file contents. Each file is read once per process, even if many runs need its hash."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from landbridge.errors import LandbridgeError

# The clock of file times is coarse. A file that was written less than this time ago may be written again without a
# change of its times, so its hash is not stored.
SETTLED_NS = 2_000_000_000

# For each path, the stamp of the file when it was read, and the hash of its content. An entry takes half a kilobyte.
_known: dict[str, tuple[tuple[int, ...], str]] = {}


def content_hashes(paths: Sequence[str]) -> list[str]:
    """Return a hash of each file's bytes.

    A file is read again if its device, its inode, its size or one of its times has changed.

    Raises:
        LandbridgeError: a file cannot be read.
    """
    settled = time.time_ns() - SETTLED_NS
    with ThreadPoolExecutor() as threads:
        found = list(chain.from_iterable(threads.map(_found, _handfuls(paths))))
        fresh = list({path: None for path, (_, content) in zip(paths, found, strict=True) if content is None})
        read = dict(zip(fresh, chain.from_iterable(threads.map(_read, _handfuls(fresh))), strict=True))
    for path, (stamp, content) in zip(paths, found, strict=True):
        if content is None and max(stamp[-2:]) < settled:
            _known[path] = stamp, read[path]
    return [content or read[path] for path, (_, content) in zip(paths, found, strict=True)]


def _handfuls(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    # Passing a small file to a thread costs as much as reading it, so a thread gets many files at a time.
    return (paths[first : first + 64] for first in range(0, len(paths), 64))


def _found(paths: Sequence[str]) -> list[tuple[tuple[int, ...], str | None]]:
    """Return the stamp of each file, and the hash of its content if that is already stored, else None."""
    found = []
    for path in paths:
        stamp = _stamp(path)
        before, content = _known.get(path, ((), ""))
        found.append((stamp, content if stamp == before else None))
    return found


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116 (creating a Path object takes as long as the call itself)
    except OSError as error:
        raise LandbridgeError(f"{path}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        # Reading a pipe or a device would wait for ever.
        raise LandbridgeError(f"{path}: is not a file with content, but a pipe, a device or a folder; remove it")
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(paths: Sequence[str]) -> list[str]:
    return [_hash(path) for path in paths]


def _hash(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise LandbridgeError(f"{path}: cannot be read ({error.strerror})") from error
