"""Hashes of files' contents: each file is read once in a process, however many runs ask for it."""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from landbridge.errors import LandbridgeError

# A file that has just been written may be written again without a change of its times.
SETTLED_NS = 2_000_000_000

# By path, the hash of a file's content, and the stamp that the file had when it was read.
_known: dict[str, tuple[tuple[int, ...], str]] = {}


def content_hashes(paths: Sequence[str]) -> list[str]:
    """Return a hash of each file's bytes.

    A file is read again if its place on the disk, its size or one of its times has changed.

    Raises:
        LandbridgeError: a file cannot be read.
    """
    stamps = {path: _stamp(path) for path in paths}
    fresh = [path for path, stamp in stamps.items() if path not in _known or _known[path][0] != stamp]
    # By the handful: handing a small file to a thread costs as much as reading it.
    handfuls = [fresh[first : first + 64] for first in range(0, len(fresh), 64)]
    with ThreadPoolExecutor() as threads:
        read = dict(zip(fresh, chain.from_iterable(threads.map(_read, handfuls)), strict=True))
    settled = time.time_ns() - SETTLED_NS
    for path, content in read.items():
        if max(stamps[path][-2:]) < settled:
            _known[path] = stamps[path], content
    return [read[path] if path in read else _known[path][1] for path in paths]


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise LandbridgeError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(paths: Sequence[str]) -> list[str]:
    return [_hash(path) for path in paths]


def _hash(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise LandbridgeError(f"{path}: cannot be read ({error.strerror})") from error
