"""The budgets of a method and of its reference: steps of training in all, and samples read."""

from math import inf, log
from typing import TYPE_CHECKING

import numpy as np

from landbridge.report.numbers import plural

if TYPE_CHECKING:
    from landbridge.report.cells import Cell

#: The length of training. It may differ between a method and its reference, but the verdict is then flagged.
LENGTH = ("trainer.max_epochs", "data.steps_per_epoch", "patience")
#: A method that reads one target sample beside each source sample has twice the passes of `source_only`. This is what
#: it adapts with. Only more than that is flagged, such as several views of a sample.
MANY_PASSES = 2.05


def steps(cell: "Cell") -> int:
    """Return the steps of training in all, those of the source model included: the mean over seeds."""
    return round(float(np.mean([run.total_steps for run in cell.runs.values()])))


def passes(cell: "Cell") -> int | None:
    """Return the samples that the network read in all, the mean over seeds; None if a run did not count them."""
    counted = [each for run in cell.runs.values() if (each := run.total_passes) is not None]
    return round(float(np.mean(counted))) if len(counted) == len(cell.runs) else None


def distance(cell: "Cell", other: "Cell") -> float:
    """Return how far the steps in all of two cells are apart: 0 if they are equal, else the log of their ratio."""
    one, two = steps(cell), steps(other)
    return 0.0 if one == two else abs(log(one / two)) if one and two else inf


def unequal_budget(cell: "Cell", other: "Cell") -> str:
    """Return in which way the budgets of a cell and of its reference differ; empty if they are equal.

    A method that is solved at once takes no steps. So there is no number of steps to compare.

    Example:
        `unequal budget: 600 steps against 300`.
    """
    one, two = steps(cell), steps(other)
    unequal = [f"{plural(cell.trials, 'setting')} against {other.trials}"] if cell.trials != other.trials else []
    unequal += [f"{one} steps against {two}"] if one != two and one and two else []
    return f"unequal budget: {', '.join(unequal)}" if unequal else ""


def unequal_passes(cell: "Cell", other: "Cell") -> str:
    """Return a flag if a method read more than twice as many samples in training as its reference; else nothing."""
    one, two = passes(cell), passes(other)
    if not one or not two or one <= MANY_PASSES * two:
        return ""
    return f"{one / two:.1f} times as many samples read in training"


def lengths(cell: "Cell") -> str:
    """Return the steps of a reference as a part of its name, if it was run in several lengths; else nothing."""
    return f", {steps(cell)} steps" if any(key in LENGTH for key, _ in cell.method.variant) else ""
