"""Hashes of file contents. A file is read once, even if many runs need its hash."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from landbridge.data.digests import DIGEST, Digests
from landbridge.data.hash_memo import HashMemo
from landbridge.data.texts import Texts
from landbridge.errors import LandbridgeError

# The clock of file times is coarse. A file that was written less than this time ago may be written again without a
# change of its times, so its hash is not stored.
SETTLED_NS = 2_000_000_000

#: A memo is written to the disk if at least so many files, or so many bytes, were read. Less is read again faster than
#: a user looks for the memo.
MANY_FILES, MANY_BYTES = 1000, 100_000_000

#: Where the memos are kept.
MEMOS = "~/.cache/landbridge/hashes"

# The memo of each folder that this process has read.
_known: dict[str, HashMemo] = {}


def content_hashes(paths: Sequence[str], memos: str | None = MEMOS) -> Digests:
    """Return a hash of each file's bytes.

    A file is read again if its path, its device, its inode, its size or one of its times has changed.

    Args:
        paths: the files.
        memos: folder in which hashes are kept for other processes; None: they are kept in this process only.

    Raises:
        LandbridgeError: a file cannot be read, or is no regular file.
    """
    if not len(paths):
        return Digests.joined(b"")
    texts = paths if isinstance(paths, Texts) else Texts.of(paths)
    paths = list(paths)
    settled = time.time_ns() - SETTLED_NS
    # What the first and the last path share, all paths between them share.
    place = os.path.commonpath([min(paths), max(paths)])
    memo = _known.get(place) or HashMemo.read(memos, place)
    with ThreadPoolExecutor() as threads:
        stamps = np.concatenate(list(threads.map(_stamps, _handfuls(paths))))
        content, missing = memo.look_up(texts, stamps)
        fresh = list(dict.fromkeys(paths[row] for row in missing.tolist()))
        read = dict(zip(fresh, chain.from_iterable(threads.map(_read, _handfuls(fresh))), strict=True))
    if read:
        content[missing] = np.frombuffer(b"".join([read[paths[row]] for row in missing.tolist()]), np.uint8).reshape(
            -1, DIGEST
        )
    keep = stamps[:, 3:].max(1) < settled
    if keep[missing].any():
        memo = memo.joined_with(HashMemo(texts, stamps, content).select(keep))
        if len(fresh) >= MANY_FILES or stamps[missing, 2].sum() >= MANY_BYTES:
            memo.write(memos, place)
    _known[place] = memo
    return Digests(content)


def _handfuls(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    # Passing a small file to a thread costs as much as reading it, so a thread gets many files at a time.
    return (paths[first : first + 256] for first in range(0, len(paths), 256))


def _stamps(paths: Sequence[str]) -> np.ndarray:
    """Return what changes with a file's content, int64 (n, 5): device, inode, size, and two times in nanoseconds."""
    rows: list[tuple[int, ...]] = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 (creating a Path object takes as long as the call itself)
        except OSError as error:
            raise LandbridgeError(f"{path}: cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(status.st_mode):
            # Reading a pipe or a device would wait for ever.
            raise LandbridgeError(f"{path}: is not a file with content, but a pipe, a device or a folder; remove it")
        rows.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    # Inodes of some file systems need 64 bits without a sign.
    return np.array(rows, np.uint64).view(np.int64)


def _read(paths: Sequence[str]) -> list[bytes]:
    return [_hash(path) for path in paths]


def _hash(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST)).digest()
    except OSError as error:
        raise LandbridgeError(f"{path}: cannot be read ({error.strerror})") from error
