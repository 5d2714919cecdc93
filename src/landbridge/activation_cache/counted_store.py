"""The store as one run uses it: with counts of what the run found and what it computed."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from landbridge.activation_cache.store import Entry, Store
from landbridge.data.activations import CachedActivations

Make = Callable[[], Iterator[tuple[Tensor, ...]]]


class CountedStore:
    """Takes entries from a store, and counts them for the report.

    Args:
        store: holds the entries.

    Attributes:
        counts: how many entries were found and computed, and their bytes.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.counts = {"found": 0, "computed": 0, "bytes": 0}

    def take(self, key: str, rows: int, found: Entry | None, make: Make) -> Entry:
        """Return the entry that was found, or make a new one; add the entry to the counts of the report.

        Args:
            key: key of the entry.
            rows: number of samples in the entry.
            found: the entry if the store has it, else None.
            make: computes the rows batch by batch; called only if `found` is None.

        Raises:
            OSError: the entry cannot be written.
        """
        self.counts["computed" if found is None else "found"] += 1
        entry = found or self.store.fetch(key, rows, make)
        self.counts["bytes"] += entry.bytes
        return entry

    def nearest(self, key: Callable[[int], str], rows: int, depth: int) -> CachedActivations | None:
        """Return the cached activations of the greatest depth below `depth`, or None if there are none.

        Args:
            key: returns the key of the samples at a depth.
            rows: how many samples there are.
            depth: the depth that is to be computed.
        """
        for shallower in range(depth - 1, 0, -1):
            if entry := self.store.find(key(shallower), rows):
                return CachedActivations(shallower, entry.tensors, torch.arange(rows))
        return None
