"""The store as one run uses it: what the run has opened stays open, and is counted for the report."""

from collections.abc import Callable, Iterator

from torch import Tensor

from landbridge.activation_cache.found import Found, Segment
from landbridge.activation_cache.store import Rows, Store
from landbridge.data.digests import Digests


class RunStore:
    """Reads rows from a store, and lets others make the missing ones.

    Args:
        store: holds the rows.

    Attributes:
        counts: how many rows were found and computed, and their bytes.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.counts = {"found": 0, "computed": 0, "bytes": 0}
        # Segments that are open are not removed.
        self._open: dict[str, list[Segment]] = {}

    def find(self, key: str, wanted: Digests) -> Found:
        """Return the rows of some samples, as far as they are in the store; see `Store.find`."""
        found = Found.among(self._open.get(key, []), wanted)
        if len(found.missing):
            found = self.store.find(key, wanted)
            self._keep(key, found)
        return found

    def take(self, key: str, wanted: Digests, make: Callable[[Tensor], Iterator[Rows]]) -> Found:
        """Return the rows of some samples, make the missing ones, and count them; see `Store.fetch`.

        Raises:
            OSError: the rows cannot be written.
        """
        missing = len(self.find(key, wanted).missing)
        if missing:
            # Small segments can be merged only if nobody reads them.
            self._open.pop(key, None)
        found = self.store.fetch(key, wanted, make) if missing else self.find(key, wanted)
        self._keep(key, found)
        self.counts["computed"] += missing
        self.counts["found"] += len(wanted) - missing
        self.counts["bytes"] += len(wanted) * (found.segments[0].row_bytes if found.segments else 0)
        return found

    def _keep(self, key: str, found: Found) -> None:
        known = self._open.setdefault(key, [])
        known += [each for each in found.segments if all(each.folder != other.folder for other in known)]
