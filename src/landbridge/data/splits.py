"""Deterministic, stratified splits that do not divide groups or copies."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

SPLITS = ("train", "val", "test")

# The order in which the splits are tried for a group. Groups that fit into no smaller split go to train.
_DEALT = ("test", "val", "train")


def split_indices(
    labels: Tensor,
    groups: Sequence[Hashable] | None = None,
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
    strata: dict[int, list[np.ndarray]] = {}
    for group in _members(range(len(y)) if groups is None else groups):
        strata.setdefault(int(np.bincount(y[group]).argmax()), []).append(group)

    rng = np.random.default_rng(seed)
    shares = {"test": test, "val": val, "train": 1.0}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    for _, stratum in sorted(strata.items()):
        total = sum(map(len, stratum))
        wanted = {name: round(share * total) for name, share in shares.items() if share}
        held = dict.fromkeys(wanted, 0)
        for left, position in zip(range(len(stratum), 0, -1), rng.permutation(len(stratum)), strict=True):
            group = stratum[position]
            empty = [name for name in _DEALT if held.get(name) == 0]
            offered = empty if len(empty) >= left else [name for name in _DEALT if name in held]
            fitting = (name for name in offered if held[name] + len(group) / 2 <= wanted[name])
            name = next(fitting, offered[-1])
            parts[name].append(group)
            held[name] += len(group)
    return {
        name: torch.from_numpy(np.sort(np.concatenate(part))) if part else torch.empty(0, dtype=torch.long)
        for name, part in parts.items()
    }


def join_groups(*groupings: Sequence[Hashable]) -> list[int]:
    """Join groupings of the same samples: samples that share a group in any grouping are joined.

    Args:
        *groupings: each has one entry per sample.

    Returns:
        group numbers (n,), in the order in which groups first appear.
    """
    n = len(groupings[0])
    numbers, nodes = [], n
    for grouping in groupings:
        numbers.append(nodes + _number(grouping))
        nodes += n
    samples = np.tile(np.arange(n), len(groupings))
    edges = coo_array((np.ones(len(samples)), (samples, np.concatenate(numbers))), shape=(nodes, nodes))
    joined = connected_components(edges, directed=False)[1][:n]
    return _number(joined.tolist()).tolist()


def _number(entries: Sequence[Hashable]) -> np.ndarray:
    seen: dict[Hashable, int] = {}
    return np.fromiter((seen.setdefault(entry, len(seen)) for entry in entries), np.int64, len(entries))


def _members(groups: Sequence[Hashable]) -> list[np.ndarray]:
    numbers = _number(groups)
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []
