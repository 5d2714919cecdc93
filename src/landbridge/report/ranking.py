"""Average ranks of methods over pairs, with Friedman's test and Nemenyi's critical difference."""

from dataclasses import dataclass

import numpy as np

from landbridge.report.cells import Comparison
from landbridge.report.runs import Method, Pair
from landbridge.statistics import Friedman, average_ranks, friedman_test, nemenyi_critical_difference


@dataclass
class Ranks:
    """Average ranks of methods over pairs.

    Attributes:
        ranks: average rank by method; rank 1 is the best score.
        pairs: the pairs that the ranks are averaged over.
        friedman: test of the hypothesis that all methods are equal; None for two methods.
        difference: Nemenyi's critical difference.
    """

    ranks: dict[str, float]
    pairs: list[Pair]
    friedman: Friedman | None
    difference: float


def rank(comparison: Comparison) -> Ranks | None:
    """Rank the methods that have a score on every pair; return None for fewer than two pairs or methods."""
    means = {(cell.method, cell.pair): cell.merit for cell in comparison.cells if not cell.oracle}
    pairs = [pair for pair in comparison.pairs if any(key[1] == pair for key in means)]
    complete: list[Method] = [m for m in comparison.methods if all((m, pair) in means for pair in pairs)]
    if len(pairs) < 2 or len(complete) < 2:
        return None
    table = np.array([[means[method, pair] for method in complete] for pair in pairs])
    ranks = dict(zip(map(str, complete), map(float, average_ranks(table)), strict=True))
    friedman = friedman_test(table) if len(complete) > 2 else None
    return Ranks(ranks, pairs, friedman, nemenyi_critical_difference(len(complete), len(pairs)))
