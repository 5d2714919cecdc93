"""Average ranks of methods over targets, with Friedman's test and Nemenyi's critical difference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landbridge.report.cells import Cell, Comparison
from landbridge.report.runs import Method, Pair
from landbridge.statistics import Friedman, average_ranks, friedman_test, nemenyi_critical_difference

#: Both tests are approximations for many blocks. With fewer than this, none is shown.
LEAST_BLOCKS = 5


@dataclass
class Ranks:
    """Average ranks of methods over blocks. A block is one target: the mean score over its sources.

    Pairs with one target share its test samples, and are no independent evidence. Pairs with one source share the
    source, so that blocks may still depend on each other.

    Attributes:
        ranks: average rank by method; rank 1 is the best score.
        pairs: the pairs with results.
        blocks: the targets that the ranks are averaged over.
        friedman: test of the hypothesis that all methods are equal; None for two methods, or too few blocks.
        difference: Nemenyi's critical difference; None for fewer than `LEAST_BLOCKS` blocks.
    """

    ranks: dict[str, float]
    pairs: list[Pair]
    blocks: list[str]
    friedman: Friedman | None
    difference: float | None

    @property
    def untested(self) -> str:
        """Why there is no test; empty if there is one."""
        few = f"{len(self.blocks)} targets are too few to test ranks; {LEAST_BLOCKS} are needed."
        return few if self.difference is None else ""


def rank(comparison: Comparison) -> Ranks | None:
    """Rank the methods that have a score on every pair; return None for fewer than two targets or methods.

    The score on a pair is the mean over the seeds that all of these methods share.
    """
    cells = {(cell.method, cell.pair): cell for cell in comparison.cells if not cell.oracle}
    pairs = [pair for pair in comparison.pairs if any(key[1] == pair for key in cells)]
    complete: list[Method] = [m for m in comparison.methods if all((m, pair) in cells for pair in pairs)]
    targets = list(dict.fromkeys(pair.target for pair in pairs))
    if len(targets) < 2 or len(complete) < 2:
        return None
    found = {pair: _over_shared_seeds([cells[method, pair] for method in complete]) for pair in pairs}
    scores = {pair: row for pair, row in found.items() if row}
    if len(scores) < len(pairs):
        return None
    table = np.array([np.mean([scores[pair] for pair in pairs if pair.target == each], axis=0) for each in targets])
    ranks = dict(zip(map(str, complete), map(float, average_ranks(table)), strict=True))
    tested = len(targets) >= LEAST_BLOCKS
    friedman = friedman_test(table) if tested and len(complete) > 2 else None
    difference = nemenyi_critical_difference(len(complete), len(targets)) if tested else None
    return Ranks(ranks, pairs, targets, friedman, difference)


def _over_shared_seeds(row: Sequence[Cell]) -> list[float] | None:
    """Return the mean of each cell over the seeds that all cells have, higher is better; None if they share none."""
    seeds = set.intersection(*(set(cell.runs) for cell in row))
    return [float(np.mean([cell.runs[seed].merit for seed in seeds])) for cell in row] if seeds else None
