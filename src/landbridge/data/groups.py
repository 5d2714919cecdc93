"""Groups of samples that no split divides."""

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def join_groups(*groupings: Sequence[Hashable] | np.ndarray) -> list[int]:
    """Join groupings of the same samples: samples that share a group in any grouping are joined.

    Args:
        *groupings: each has one entry per sample.

    Returns:
        group numbers (n,), in the order in which groups first appear.
    """
    n = len(groupings[0])
    if len(groupings) == 1:
        return numbered(groupings[0]).tolist()
    numbers, nodes = [], n
    for grouping in groupings:
        numbers.append(nodes + numbered(grouping))
        nodes += n
    samples = np.tile(np.arange(n), len(groupings))
    edges = coo_array((np.ones(len(samples)), (samples, np.concatenate(numbers))), shape=(nodes, nodes))
    joined = connected_components(edges, directed=False)[1][:n]
    return numbered(joined).tolist()


def numbered(entries: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Return a number for each entry (n,), the same for equal entries, in the order in which they first appear."""
    if isinstance(entries, np.ndarray):
        return in_order_of_appearance(entries)
    seen: dict[Hashable, int] = {}
    return np.fromiter((seen.setdefault(entry, len(seen)) for entry in entries), np.int64, len(entries))


def in_order_of_appearance(entries: np.ndarray) -> np.ndarray:
    """Return a number for each entry (n,), the same for equal entries, in the order in which they first appear."""
    _, first, number = np.unique(entries, return_index=True, return_inverse=True)
    rank = np.empty_like(first)
    rank[first.argsort()] = np.arange(len(first))
    return rank[number]
