"""A folder of entries that many processes share. Each segment is written completely or not at all."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landbridge.activation_cache.found import Found, Segment
from landbridge.activation_cache.lock import Lock
from landbridge.activation_cache.segment import MANIFEST, read_segment, write_segment
from landbridge.data.digests import Digests

log = logging.getLogger(__name__)

PART = ".part"
# Files that this process has compared with their checksums: path, inode and time of the last change.
_CHECKED: set[tuple[str, int, int]] = set()

#: A batch of rows: the hash of each sample, and its tensors (b, ...).
Rows = tuple[Digests, Sequence[Tensor]]


class Store:
    """Keeps rows of tensors by key and hash of the sample, in a folder of limited size.

    All rows of one key are an entry. An entry consists of segments, which are never changed: rows that are missing are
    written as a new segment. So samples that several splits, seeds and domains share are stored once. Small segments
    are merged into the new one, so that an entry of n rows has at most about log2(n) segments.

    A segment is the folder `root/key-name`. It is written under another name and moved when it is complete. A process
    that writes to an entry or removes a segment has the exclusive lock of the key. A process that reads a segment has a
    shared lock on its manifest. The rows of a damaged segment count as missing, and the segment is removed. This is
    safe while other processes still read it, because their mapped files stay valid.

    Args:
        root: the folder; it is created if it does not exist.
        limit: maximum size of all segments together, in bytes.
    """

    def __init__(self, root: Path, limit: float) -> None:
        self.root = root
        self.limit = limit

    def find(self, key: str, wanted: Digests) -> Found:
        """Return the rows of some samples, as far as they are in the store.

        Args:
            key: key of the entry: a hash of everything that determines a row, except for the sample.
            wanted: hashes of the samples.
        """
        found = Found.among(self._segments(key), wanted)
        for segment in found.segments:
            os.utime(segment.folder / MANIFEST)
        return found

    def fetch(self, key: str, wanted: Digests, make: Callable[[Tensor], Iterator[Rows]]) -> Found:
        """Return the rows of some samples; make those that are missing or damaged. Other processes wait meanwhile.

        Args:
            key: key of the entry: a hash of everything that determines a row, except for the sample.
            wanted: hashes of the samples.
            make: gets the positions of the missing samples, each content once (m,), and returns their rows in batches,
                in any order.

        Raises:
            OSError: there is no room for the rows, or the folder is not writable.
        """
        found = self.find(key, wanted)
        if not len(found.missing):
            return found
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock(key) as lock:
            lock.own()
            # Another process may have made the rows meanwhile.
            found = self.find(key, wanted)
            if len(found.missing):
                replaced = self._write(key, len(found.missing), make(found.missing))
                # The rows that were found are in use so far, so that no process has removed them to make room.
                del found
                for folder in replaced:
                    _remove_unread(folder)
                found = self.find(key, wanted)
        if len(found.missing):
            raise OSError(f"rows of the entry {self.root / key} were written but cannot be read")
        return found

    def _segments(self, key: str) -> list[Segment]:
        """Open all undamaged segments of an entry, the largest first."""
        opened = [self._open(folder) for folder in self.root.glob(f"{key}-*")]
        return sorted((each for each in opened if each), key=lambda each: (-len(each.samples), each.folder))

    def _open(self, folder: Path) -> Segment | None:
        try:
            lock = Lock(folder / MANIFEST, "rb")
            lock.share()
            states = {(str(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.bin")}
            tensors = read_segment(folder, checked=states <= _CHECKED)
            if tensors is not None:
                _CHECKED.update(states)
                return Segment(folder, Digests(tensors[0].numpy()), tensors[1:], lock)
        except OSError:
            pass
        if folder.exists():
            log.warning("cache: %s is damaged and not used", folder)
        return None

    def _lock(self, key: str) -> Lock:
        # The lock file is never removed: another process may be waiting for the lock.
        return Lock(self.root / f"{key}.lock")

    # Writing, with the lock of the key -------------------------------------------------------------------------------

    def _write(self, key: str, rows: int, batches: Iterator[Rows]) -> list[Path]:
        """Write a new segment, which takes over the rows of small ones; return the folders of these.

        Damaged segments are removed.
        """
        segments, draft = self._segments(key), self.root / f"{key}{PART}"
        for folder in {draft, *self.root.glob(f"{key}-*")} - {segment.folder for segment in segments}:
            shutil.rmtree(folder, ignore_errors=True)
        small = _small(segments, rows)
        # From here on, the segments may be removed to make room.
        del segments
        first = next(batches)
        size = rows * sum(tensor[0].nbytes for tensor in first[1])
        room = self._make_room(size, key)
        merged = [segment for folder in small if folder.exists() and (segment := self._open(folder))]
        if size + sum(segment.bytes for segment in merged) > room:
            merged = []
        taken = _new_rows(merged)
        copied = (batch for segment, where in zip(merged, taken, strict=True) for batch in segment.batches(where))
        content = hashlib.blake2b(digest_size=8)
        draft.mkdir()
        try:
            together = _with_samples(chain([first], batches, copied), content.update)
            write_segment(draft, rows + sum(map(len, taken)), together)
            draft.replace(self.root / f"{key}-{content.hexdigest()}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return [segment.folder for segment in merged]

    def _make_room(self, wanted: int, key: str) -> float:
        """Make room for a segment of the entry `key`, whose lock this process has, and return how much room there is.

        Incomplete segments of killed processes are removed, and then the least recently used segments.

        Raises:
            OSError: there is too little room, even without all segments that are not in use.
        """
        sizes, ages = {}, {}
        for folder in self.root.iterdir():
            # Another process may move or remove the folder meanwhile.
            with suppress(FileNotFoundError):
                if folder.is_dir():
                    size = sum(path.stat().st_size for path in folder.glob("*.bin"))
                    manifest = folder / MANIFEST
                    ages[folder] = manifest.stat().st_mtime if manifest.exists() else 0.0
                    sizes[folder] = size

        def room_now() -> float:
            return min(self.limit - sum(sizes.values()), shutil.disk_usage(self.root).free)

        for folder in sorted(sizes, key=ages.__getitem__):
            if (folder.suffix == PART or wanted > room_now()) and self._remove(folder, key):
                del sizes[folder]
        room = room_now()
        if wanted > room:
            raise OSError(f"{wanted / 1e9:.2f} GB are needed, but there is room for {max(room, 0) / 1e9:.2f} GB")
        return room

    def _remove(self, folder: Path, own: str) -> bool:
        """Remove a segment, unless a process writes to its entry or reads it; return whether it was removed."""
        key = folder.name.removesuffix(PART).partition("-")[0]
        lock = None if key == own else self._lock(key)
        return (lock is None or lock.own_at_once()) and _remove_unread(folder)


def _remove_unread(folder: Path) -> bool:
    """Remove a complete or incomplete segment, unless a process reads it; return whether it was removed."""
    manifest = folder / MANIFEST
    readers = Lock(manifest, "rb") if manifest.exists() else None
    if readers and not readers.own_at_once():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _small(segments: Sequence[Segment], rows: int) -> list[Path]:
    """Return the folders of the segments that a new one of `rows` rows takes over.

    These are the smallest segments, as long as each has less than twice the rows of the new one and all smaller ones.
    Each segment that is left has at least twice the rows of the next smaller one. So there are at most about log2(n) of
    them, and a row is copied at most about log1.5(n) times.
    """
    merged = []
    for segment in reversed(segments):
        if len(segment.samples) >= 2 * rows:
            break
        merged.append(segment.folder)
        rows += len(segment.samples)
    return merged


def _new_rows(segments: Sequence[Segment]) -> list[Tensor]:
    """Return the rows of each segment whose samples are in no earlier segment."""
    kept = []
    for number, segment in enumerate(segments):
        new = np.full(len(segment.samples), True)
        for earlier in segments[:number]:
            new &= earlier.samples.locate(segment.samples) < 0
        kept.append(torch.from_numpy(np.flatnonzero(new)))
    return kept


def _with_samples(batches: Iterator[Rows], note: Callable[[bytes], None]) -> Iterator[list[Tensor]]:
    """Put the hashes of the samples before their tensors, as a tensor of their own, and `note` them."""
    for samples, tensors in batches:
        note(samples.content.tobytes())
        yield [torch.from_numpy(np.ascontiguousarray(samples.content)), *tensors]
