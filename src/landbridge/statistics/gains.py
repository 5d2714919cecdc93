"""The gains that one verdict is about: of each seed, and, where the metric is a mean over test items, of each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landbridge.statistics.intervals import as_sample


@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """Score minus the score of the reference, paired by seed; a positive gain means that the source helps.

    Make one with `of_items` or `of_scores`.

    Attributes:
        by_seed: Gain of each seed, shape (S,).
        values: Gains of all test items, those of the first seed first, shape (n,); None if they are not known.
        seeds: Seed of each entry of `values`, in [0, S).
        items: Test item of each entry of `values`: its position in the pool, at least 0.
        test_ratio: Without gains of items: number of test items, divided by the number of the other items of the
            pool that every seed drew its test set from. It is 0 if all seeds share one test set.
    """

    by_seed: NDArray[np.float64]
    values: NDArray[np.float64] | None = None
    seeds: NDArray[np.intp] | None = None
    items: NDArray[np.intp] | None = None
    test_ratio: float = 0.0

    @classmethod
    def of_items(
        cls, gains: Sequence[ArrayLike] | NDArray[Any], items: Sequence[ArrayLike] | NDArray[Any] | None = None
    ) -> "Gains":
        """Return the gains of a metric that is a mean over test items.

        Args:
            gains: For each seed, the gain of every test item: for example right with the method minus right with the
                reference, in {-1, 0, 1}. One array for each seed, of any length of at least 1. An item without a label
                has nan, and is left out.
            items: For each seed, which items these are: positions in a pool that all seeds share, of the same shapes.
                None if all seeds were tested on the same items in the same order.

        Raises:
            ValueError: If there is no seed, a seed without a finite gain, an item twice in one seed, or shapes differ.
        """
        rows = [np.asarray(row, dtype=float) for row in gains]
        places = [np.arange(row.size) for row in rows] if items is None else [np.asarray(each, int) for each in items]
        if not rows or [row.shape for row in rows] != [place.shape for place in places]:
            raise ValueError(f"items: {len(places)} seeds for gains of {len(rows)}; give one item for every gain.")
        if items is None and len({row.size for row in rows}) > 1:
            raise ValueError("gains: seeds with unequal numbers of items cannot share them; give `items`.")
        known = [~np.isnan(row) for row in rows]
        places = [place[keep] for place, keep in zip(places, known, strict=True)]
        samples = [as_sample(row[known[s]], name=f"gains of seed {s}") for s, row in enumerate(rows)]
        if any(place.min() < 0 or np.bincount(place).max() > 1 for place in places):
            raise ValueError("items: each must be at least 0, and be there once in the test set of a seed.")
        means = np.array([sample.mean() for sample in samples])
        seeds = np.repeat(np.arange(len(samples)), [sample.size for sample in samples])
        return cls(means, np.concatenate(samples), seeds, np.concatenate(places))

    @classmethod
    def of_scores(cls, gains: ArrayLike, test_ratio: float = 0.0) -> "Gains":
        """Return the gains of a metric that is no mean over items, such as R2, or of items that are not known.

        Args:
            gains: One gain for each seed, shape (S,), S >= 1.
            test_ratio: See `Gains`.

        Raises:
            ValueError: If there is no gain, one is not finite, or the ratio is negative.
        """
        if not test_ratio >= 0:
            raise ValueError(f"test_ratio: {test_ratio} is negative; give test items divided by other items.")
        return cls(as_sample(gains, name="gains"), test_ratio=test_ratio)
