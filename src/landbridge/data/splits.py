"""Deterministic, stratified splits that do not divide groups or copies."""

import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")

# The order in which the splits are tried for a group. Groups that fit into no smaller split go to train.
_DEALT = ("test", "val", "train")


def split_indices(
    labels: Tensor,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    *,
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Split samples into train, val and test, class by class, without dividing a group.

    Each group counts for its most frequent class. The groups of a class are assigned one by one, in random order.
    For each group, test, val and train are tried in this order. The group goes to the first of them whose number of
    samples gets closer to the wanted number with this group. The shares are therefore exact if every sample is its own
    group. Otherwise they are right up to the size of one group per class. The last groups of a class go to the splits
    that have no group of this class yet. A class with three groups or more is therefore in every split.

    Args:
        labels: class indices (n,).
        groups: the group of each sample, such as a writer, a patient, or a hash of the content (so that copies of one
            image are always in one split). None: every sample is its own group.
        val: share of the samples for validation, in [0, 1); 0 leaves the split empty.
        test: share of the samples for the test, in [0, 1); 0 leaves the split empty.
        seed: seed of the random order.

    Returns:
        for each split, sorted int64 positions.

    Example:
        Ten samples of one class, without groups, give 2 test, 1 validation and 7 training samples. One hundred samples
        of one class in three groups of 2, 2 and 96 samples give 2 test, 2 validation and 96 training samples.
    """
    y = labels.numpy()
    numbers = np.arange(len(y)) if groups is None else _number(groups)
    sizes = np.bincount(numbers)
    strata = _most_frequent(y, numbers, sizes)
    rng = np.random.default_rng(seed)
    shares = {"test": test, "val": val, "train": 1.0}
    dealt = np.empty(len(sizes), dtype=np.int8)
    for stratum in _members(strata):
        shuffled = stratum[rng.permutation(len(stratum))]
        dealt[shuffled] = _deal(sizes[shuffled].tolist(), shares)
    place = dealt[numbers]
    return {name: torch.from_numpy(np.flatnonzero(place == _DEALT.index(name))) for name in SPLITS}


def _deal(sizes: Sequence[int], shares: Mapping[str, float]) -> list[int]:
    """Assign the groups of a class, given by their sizes, one by one; return the place of each split in `_DEALT`."""
    wanted = [round(shares[name] * sum(sizes)) for name in _DEALT]
    offered_splits = [split for split, name in enumerate(_DEALT) if shares[name]]
    held = [0] * len(_DEALT)
    dealt = []
    for left, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        offered = offered_splits
        if left <= len(_DEALT):
            empty = [split for split in offered_splits if held[split] == 0]
            offered = empty if len(empty) >= left else offered_splits
        for split in offered:
            if held[split] + size / 2 <= wanted[split]:
                break
        else:
            split = offered[-1]
        dealt.append(split)
        held[split] += size
    return dealt


def _most_frequent(y: np.ndarray, numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the most frequent class of each group; of equally frequent ones, the first."""
    most = np.empty(len(sizes), dtype=np.int64)
    most[numbers] = y
    large = np.flatnonzero(sizes[numbers] > 1)
    for members in _members(numbers[large]):
        group = large[members]
        most[numbers[group[0]]] = np.bincount(y[group]).argmax()
    return most


def join_groups(*groupings: Sequence[Hashable] | np.ndarray) -> list[int]:
    """Join groupings of the same samples: samples that share a group in any grouping are joined.

    Args:
        *groupings: each has one entry per sample.

    Returns:
        group numbers (n,), in the order in which groups first appear.
    """
    n = len(groupings[0])
    if len(groupings) == 1:
        return _number(groupings[0]).tolist()
    numbers, nodes = [], n
    for grouping in groupings:
        numbers.append(nodes + _number(grouping))
        nodes += n
    samples = np.tile(np.arange(n), len(groupings))
    edges = coo_array((np.ones(len(samples)), (samples, np.concatenate(numbers))), shape=(nodes, nodes))
    joined = connected_components(edges, directed=False)[1][:n]
    return _number(joined).tolist()


def keep_apart(name: str, given: Mapping[str, Tensor], together: np.ndarray) -> dict[str, Tensor]:
    """Leave out of each split the groups that a split of higher priority has: test, then val, then train.

    Args:
        name: name of the domain, for the log.
        given: positions of the samples of each split.
        together: the group of each sample (n,).

    Returns:
        the positions that stay. A warning in the log gives the number of samples that are left out.
    """
    parts: dict[str, Tensor] = {}
    taken = np.empty(0, dtype=together.dtype)
    for split in reversed([split for split in SPLITS if split in given]):
        groups = together[given[split].numpy()]
        double = np.isin(groups, taken)
        if double.any():
            log.warning(
                "domain %s: %d samples are left out of %s, because copies of them or others of their group are in %s",
                name,
                double.sum(),
                split,
                " or ".join(parts),
            )
        parts[split] = given[split][torch.from_numpy(~double)]
        taken = np.union1d(taken, groups)
    return parts


def _number(entries: Sequence[Hashable] | np.ndarray) -> np.ndarray:
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


def _members(numbers: np.ndarray) -> list[np.ndarray]:
    """Return the positions that have the same number, for each number in ascending order."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []
