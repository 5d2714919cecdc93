"""The gains of a method over its reference, from the records of their runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landbridge.record import unpack_items, unpack_scores
from landbridge.report.runs import Run
from landbridge.statistics import Estimate, Gains, estimate

if TYPE_CHECKING:
    from landbridge.report.cells import Cell

#: How far the mean of the values of single items may be from the metric. They are stored with 24 bits.
ROUNDING = 1e-5


def gains_of(paired: Sequence[tuple[Run, Run]]) -> Gains:
    """Return the gains of runs over the runs of a reference with the same seeds.

    If the metric is the mean of a value of each test item, such as right or wrong, and both runs of a seed tested the
    same items, these are the gains of all items. Else they are the gains in the metric. If the seeds then do not share
    one test set, its overlap between seeds is taken from the sizes of the splits.

    Args:
        paired: for each seed, the run and that of the reference; at least one.
    """
    values = [[_item_scores(run) for run in both] for both in paired]
    places = _places(paired)
    rows = [one - two for one, two in values if one is not None and two is not None and one.shape == two.shape]
    whole = len(rows) == len(paired) and all(np.isfinite(row).any() for row in rows)
    if whole and places is not None and [row.shape for row in rows] == [place.shape for place in places]:
        return Gains.of_items(rows, places)
    return Gains.of_scores([run.merit - other.merit for run, other in paired], _test_ratio(paired))


def gain_over(cell: "Cell", other: "Cell") -> Estimate | None:
    """Return the mean gain of a cell over another, over the seeds that both have; None if they share no seed.

    It is not corrected for any number of comparisons.
    """
    shared = sorted(cell.runs.keys() & other.runs.keys())
    return estimate(gains_of([(cell.runs[seed], other.runs[seed]) for seed in shared])) if shared else None


def _item_scores(run: Run) -> NDArray[np.float64] | None:
    """Return the value of each test item, higher is better; None if the metric is not their mean."""
    result = run.record.results["target"]
    if not result.keys() & {"correct", "sample_scores"}:
        return None
    values = unpack_scores(result)
    if not np.isfinite(values).any():
        return None
    close = abs(np.nanmean(values) - run.merit) <= ROUNDING * max(1.0, abs(run.merit))
    return values if close else None


def _places(paired: Sequence[tuple[Run, Run]]) -> list[NDArray[np.int64]] | None:
    """Return which samples of the domain each seed tested; None if this is not known, or differs within a seed."""
    runs = [run for both in paired for run in both]
    if share_test_set(paired):
        sizes = [unpack_scores(run.record.results["target"]).size for run in runs if _item_scores(run) is not None]
        return [np.arange(size) for size in sizes[::2]] if len(set(sizes)) == 1 else None
    pools = {run.record.data["target"].get("samples") for run in runs}
    items = [[unpack_items(run.record.results["target"]) for run in both] for both in paired]
    if None in pools or len(pools) > 1:
        return None
    alike = [one for one, two in items if one is not None and two is not None and np.array_equal(one, two)]
    return alike if len(alike) == len(items) else None


def share_test_set(paired: Sequence[tuple[Run, Run]]) -> bool:
    """Return whether all runs tested the same items: the fingerprints of their target, with its splits, are equal."""
    return len({run.domain_fingerprint("target") for both in paired for run in both}) == 1


def _test_ratio(paired: Sequence[tuple[Run, Run]]) -> float:
    """Return the number of test items divided by that of all others of the target, the largest of all runs."""
    if share_test_set(paired):
        return 0.0
    ratios = []
    for run, _ in paired:
        sizes = run.record.data["target"].get("sizes", {})
        test = sizes.get("test", 0)
        ratios.append(test / max(1, sum(sizes.values()) - test))
    return max(ratios)
