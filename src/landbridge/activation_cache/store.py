"""A folder of entries that many processes share: each is written once, whole or not at all, and the oldest go first."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from torch import Tensor

from landbridge.activation_cache.entry import MANIFEST, read_entry, write_entry
from landbridge.activation_cache.lock import Lock

log = logging.getLogger(__name__)

PART = ".part"
# Files that this process has compared with their checksums, by place, identity and time.
_CHECKED: set[tuple[str, int, int]] = set()


@dataclass(frozen=True)
class Entry:
    """An entry in use; nobody removes it before it is forgotten.

    Attributes:
        tensors: (rows, ...), memory-mapped.
        bytes: on the disk.
    """

    tensors: list[Tensor]
    bytes: int
    lock: Lock = field(repr=False)


class Store:
    """Entries by key, in a folder of at most some size.

    An entry is a folder `root/key`. It is made elsewhere and moved there when it is whole. Whoever makes or removes one
    owns the lock of its key; whoever reads it shares a lock on its manifest. A damaged entry is as good as none: it is
    replaced, also while others still read it, for what they have mapped stays with them.

    Args:
        root: the folder, which is made if need be.
        limit: bytes that all entries together may have.
    """

    def __init__(self, root: Path, limit: float) -> None:
        self.root = root
        self.limit = limit

    def find(self, key: str, rows: int) -> Entry | None:
        """Return an entry if it is there and whole.

        Args:
            key: of the entry; a hash of all that determines its content.
            rows: how many it must have.
        """
        folder = self.root / key
        try:
            lock = Lock(folder / MANIFEST, "rb")
            lock.share()
            files = sorted(folder.glob("*.bin"))
            states = {(str(path), path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
            tensors = read_entry(folder, rows, checked=states <= _CHECKED)
            if tensors is not None:
                _CHECKED.update(states)
                os.utime(folder / MANIFEST)
                return Entry(tensors, sum(path.stat().st_size for path in files), lock)
        except OSError:
            pass
        if folder.exists():
            log.warning("cache: %s is damaged and not used", folder)
        return None

    def fetch(self, key: str, rows: int, make: Callable[[], Iterator[Sequence[Tensor]]]) -> Entry:
        """Return an entry, which is made if it is not there, or not whole. Others who want it wait.

        Args:
            key: of the entry; a hash of all that determines its content.
            rows: how many it has.
            make: gives batches of rows in order.

        Raises:
            OSError: there is no place for it, or the folder cannot be written to.
        """
        if entry := self.find(key, rows):
            return entry
        self.root.mkdir(parents=True, exist_ok=True)
        lock = self._lock(key)
        lock.own()
        # Another process may have made it meanwhile.
        if entry := self.find(key, rows):
            return entry
        self._write(key, rows, make)
        entry = self.find(key, rows)
        if entry is None:
            raise OSError(f"what was written to {self.root / key} cannot be read")
        return entry

    def _lock(self, key: str) -> Lock:
        # The file is never removed: another process may be waiting for it.
        return Lock(self.root / f"{key}.lock")

    def _write(self, key: str, rows: int, make: Callable[[], Iterator[Sequence[Tensor]]]) -> None:
        draft = self.root / f"{key}{PART}"
        for remains in (draft, self.root / key):
            shutil.rmtree(remains, ignore_errors=True)
        batches = make()
        first = next(batches)
        self._make_room(rows * sum(tensor[0].nbytes for tensor in first))
        draft.mkdir()
        try:
            write_entry(draft, rows, chain([first], batches))
            draft.replace(self.root / key)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _make_room(self, wanted: int) -> None:
        """Remove what writers that were killed have left, and then the entries that were used least recently.

        Raises:
            OSError: what is in use leaves too little room.
        """
        sizes, ages = {}, {}
        for folder in self.root.iterdir():
            if folder.is_dir():
                sizes[folder] = sum(path.stat().st_size for path in folder.glob("*.bin"))
                manifest = folder / MANIFEST
                ages[folder] = manifest.stat().st_mtime if manifest.exists() else 0.0
        for folder in sorted(sizes, key=ages.__getitem__):
            in_the_way = folder.suffix == PART or sum(sizes.values()) + wanted > self.limit
            if in_the_way and self._remove(folder):
                del sizes[folder]
        free = shutil.disk_usage(self.root).free
        room = min(self.limit - sum(sizes.values()), free)
        if wanted > room:
            raise OSError(f"{wanted / 1e9:.2f} GB are wanted, and there is room for {max(room, 0) / 1e9:.2f}")

    def _remove(self, folder: Path) -> bool:
        """Remove an entry, or what is left of one, unless somebody makes or reads it."""
        lock, manifest = self._lock(folder.name.removesuffix(PART)), folder / MANIFEST
        if not lock.own_at_once():
            return False
        readers = Lock(manifest, "rb") if manifest.exists() else None
        if readers and not readers.own_at_once():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True
