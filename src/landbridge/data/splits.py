"""Deterministic splits that depend on the contents of the samples, and divide no group and no copies."""

import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from landbridge.data.digests import Digests
from landbridge.data.groups import numbered

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")

# The order in which the splits are tried for a group. Groups that fit into no smaller split go to train.
_DEALT = ("test", "val", "train")


def split_indices(
    contents: Digests,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    *,
    strata: Tensor | None = None,
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Split samples into train, val and test, without dividing a group.

    The order of the groups is that of a hash of the seed and of the least content in the group. It depends neither on
    the order of the samples nor on labels. The groups are assigned one by one. For each group, test, val and train are
    tried in this order. The group goes to the first of them whose number of samples gets closer to the wanted number
    with this group. The shares are therefore exact if every sample is its own group. Otherwise they are right up to the
    size of one group. The last groups go to the splits that have no group yet. Three groups or more are therefore in
    every split.

    With `strata`, all this holds within each stratum, and each group counts for its most frequent stratum.

    Args:
        contents: hash of the content of each sample (n,).
        groups: the group of each sample, such as a writer, a patient, or a hash of the content (so that copies of one
            image are always in one split). None: every sample is its own group.
        strata: such as the classes, whole numbers from 0 on (n,). None: the samples are one stratum.
        val: share of the samples for validation, in [0, 1); 0 leaves the split empty.
        test: share of the samples for the test, in [0, 1); 0 leaves the split empty.
        seed: part of the hash.

    Returns:
        for each split, sorted int64 positions.

    Example:
        Ten samples without groups give 2 test, 1 validation and 7 training samples. One hundred samples in three groups
        of 2, 2 and 96 samples give 2 test, 2 validation and 96 training samples.
    """
    numbers = np.arange(len(contents)) if groups is None else numbered(groups)
    sizes = np.bincount(numbers)
    order = _order(contents, numbers, seed)
    where = np.zeros(len(sizes), np.int64) if strata is None else _most_frequent(strata.numpy(), numbers, sizes)
    shares = {"test": test, "val": val, "train": 1.0}
    dealt = np.empty(len(sizes), dtype=np.int8)
    for members in _members(where[order]):
        stratum = order[members]
        dealt[stratum] = _deal(sizes[stratum].tolist(), shares)
    place = dealt[numbers]
    return {name: torch.from_numpy(np.flatnonzero(place == _DEALT.index(name))) for name in SPLITS}


def _order(contents: Digests, numbers: np.ndarray, seed: int) -> np.ndarray:
    """Return the groups in the order of a hash of the seed and of the least content in each group."""
    by_content = contents.items().argsort(kind="stable")
    # `unique` finds the first sample of each group, and here the samples stand in the order of their contents.
    least = contents.content[by_content[np.unique(numbers[by_content], return_index=True)[1]]]
    return Digests(least).keyed(str(seed).encode()).items().argsort(kind="stable")


def _deal(sizes: Sequence[int], shares: Mapping[str, float]) -> list[int]:
    """Assign the groups of a stratum, given by their sizes, one by one; return the place of each split in `_DEALT`."""
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


def _members(numbers: np.ndarray) -> list[np.ndarray]:
    """Return the positions that have the same number, for each number in ascending order."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []
