"""A folder of entries that many processes share. Each entry is written completely or not at all."""

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
# Files that this process has compared with their checksums: path, inode and time of the last change.
_CHECKED: set[tuple[str, int, int]] = set()


@dataclass(frozen=True)
class Entry:
    """An entry in use. No process removes it as long as this object exists.

    Attributes:
        tensors: tensors (rows, ...), memory-mapped.
        bytes: size on the disk.
    """

    tensors: list[Tensor]
    bytes: int
    lock: Lock = field(repr=False)


class Store:
    """Keeps entries by key in a folder of limited size.

    An entry is the folder `root/key`. It is written under another name and moved when it is complete. A process that
    makes or removes an entry has the exclusive lock of its key. A process that reads an entry has a shared lock on its
    manifest. A damaged entry counts as missing and is replaced. This is safe while other processes still read it,
    because their mapped files stay valid.

    Args:
        root: the folder; it is created if it does not exist.
        limit: maximum size of all entries together, in bytes.
    """

    def __init__(self, root: Path, limit: float) -> None:
        self.root = root
        self.limit = limit

    def find(self, key: str, rows: int) -> Entry | None:
        """Return an entry, or None if it is missing or damaged.

        Args:
            key: key of the entry: a hash of everything that determines its content.
            rows: number of rows that it must have.
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
        """Return an entry; make it if it is missing or damaged. Other processes that need the entry wait meanwhile.

        Args:
            key: key of the entry: a hash of everything that determines its content.
            rows: number of rows that it has.
            make: returns batches of rows in order.

        Raises:
            OSError: there is no room for the entry, or the folder is not writable.
        """
        if entry := self.find(key, rows):
            return entry
        self.root.mkdir(parents=True, exist_ok=True)
        lock = self._lock(key)
        lock.own()
        # Another process may have made the entry meanwhile.
        if entry := self.find(key, rows):
            return entry
        self._write(key, rows, make)
        entry = self.find(key, rows)
        if entry is None:
            raise OSError(f"the entry {self.root / key} was written but cannot be read")
        return entry

    def _lock(self, key: str) -> Lock:
        # The lock file is never removed: another process may be waiting for the lock.
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
        """Remove incomplete entries of killed processes, and then the least recently used entries, until there is room.

        Raises:
            OSError: there is too little room, even without all entries that are not in use.
        """
        sizes, ages = {}, {}
        for folder in self.root.iterdir():
            if folder.is_dir():
                sizes[folder] = sum(path.stat().st_size for path in folder.glob("*.bin"))
                manifest = folder / MANIFEST
                ages[folder] = manifest.stat().st_mtime if manifest.exists() else 0.0

        def room_now() -> float:
            return min(self.limit - sum(sizes.values()), shutil.disk_usage(self.root).free)

        for folder in sorted(sizes, key=ages.__getitem__):
            if (folder.suffix == PART or wanted > room_now()) and self._remove(folder):
                del sizes[folder]
        room = room_now()
        if wanted > room:
            raise OSError(f"{wanted / 1e9:.2f} GB are needed, but there is room for {max(room, 0) / 1e9:.2f} GB")

    def _remove(self, folder: Path) -> bool:
        """Remove a complete or incomplete entry, unless a process makes or reads it; return whether it was removed."""
        lock, manifest = self._lock(folder.name.removesuffix(PART)), folder / MANIFEST
        if not lock.own_at_once():
            return False
        readers = Lock(manifest, "rb") if manifest.exists() else None
        if readers and not readers.own_at_once():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True
