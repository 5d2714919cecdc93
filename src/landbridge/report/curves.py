"""Curves over each varied setting and over training time, and the frontier between target and source scores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from landbridge.report.cells import Cell
from landbridge.report.runs import Pair
from landbridge.statistics import t_interval

TITLES = {
    "freeze.depth": "Freezing depth: number of frozen stages, counted from the input",
    "optimizer.lr": "Learning rate",
    "target_labels": "Label efficiency: target labels",
}
#: Settings in which "all" means a value above every number.
WITH_ALL = ("freeze.depth", "target_labels")
# An axis is logarithmic if the ratio of the largest to the smallest value is at least this number.
LOGARITHMIC = 20


@dataclass
class Point:
    """A point of a curve: mean and interval over seeds."""

    x: float
    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass
class Curve:
    """One line of a plot."""

    label: str
    points: list[Point] = field(default_factory=list)


@dataclass
class Axis:
    """A varied setting, and the scores as a function of it for each pair.

    Attributes:
        key: name of the setting.
        title: description of the setting.
        ticks: texts of the values by their positions on the axis.
        logarithmic: whether the axis is logarithmic.
        curves: curves by pair.
    """

    key: str
    title: str
    ticks: dict[float, str]
    logarithmic: bool
    curves: dict[Pair, list[Curve]]


def axes(cells: Sequence[Cell]) -> list[Axis]:
    """Return an axis for each numerical setting that varies within a strategy, those in `TITLES` first."""
    keys = dict.fromkeys([*TITLES, *(key for cell in cells for key, _ in cell.method.variant)])
    return [axis for key in keys if (axis := _axis(key, cells))]


def _axis(key: str, cells: Sequence[Cell]) -> Axis | None:
    """Return the curves over one setting; None unless it has at least two values and all are numbers.

    Example:
        Cells of dann with `strategy.weight` 0.1 and 1 give an axis with two positions and one curve for each pair.
        A cell with the default of the setting is left out, because its record does not contain the default value.
    """
    having = [cell for cell in cells if dict(cell.method.variant).get(key, "default") != "default"]
    values = {dict(cell.method.variant)[key] for cell in having}
    numbers = {value: place for value in values if (place := number(key, value)) is not None}
    if len(numbers) < 2 or len(numbers) < len(values):
        return None
    order = sorted(numbers, key=lambda value: numbers[value])
    finite = [number for number in numbers.values() if number != np.inf]
    logarithmic = min(finite) > 0 and max(finite) / min(finite) >= LOGARITHMIC and len(finite) == len(order)
    # "all" has no finite position, so that the values are then spaced evenly.
    even = len(finite) < len(order) or key == "target_labels"
    place = {value: float(i) if even else numbers[value] for i, value in enumerate(order)}
    curves: dict[Pair, dict[str, Curve]] = {}
    for pair in dict.fromkeys(cell.pair for cell in having if cell.pair.source) or {cell.pair for cell in having}:
        for cell in having:
            alone = cell.pair.source is None and cell.pair.target == pair.target
            if cell.pair != pair and not alone:
                continue
            label = str(cell.method.without(key))
            curve = curves.setdefault(pair, {}).setdefault(label, Curve(label))
            curve.points.append(_point(place[dict(cell.method.variant)[key]], cell.scores))
    for by_label in curves.values():
        for curve in by_label.values():
            curve.points.sort(key=lambda point: point.x)
    title = TITLES.get(key, key)
    if key == "target_labels" and having[0].kind == "classification":
        title += " per class"
    return Axis(
        key,
        title,
        {place[value]: value for value in order},
        logarithmic and not even,
        {pair: list(by_label.values()) for pair, by_label in curves.items()},
    )


def over_time(cells: Iterable[Cell]) -> dict[Pair, list[Curve]]:
    """Return curves of the oracle's score over seconds of training, mean over seeds, by pair.

    The score is the leading metric on the target's validation split.

    The labels of that split were read only after training, so that these curves are ORACLE results. Seconds count the
    epochs of the run itself, not the training of the source model that it continues.

    The score of an epoch may be undefined, such as R2 after training diverged. An epoch in which a run has no finite
    score is no point of the curve, so every point is the mean over all runs.
    """
    curves: dict[Pair, list[Curve]] = {}
    for cell in cells:
        # Epochs without a training step evaluate other versions of the trained model. They do not belong to the curve.
        rows = [[row for row in run.record.epochs if row["losses"] and "seconds" in row] for run in cell.runs.values()]
        rows = [each for each in rows if len(each) > 1 and all("oracle" in row["scores"] for row in each)]
        if not rows or not cell.pair.source:
            continue
        length = min(map(len, rows))
        seconds = np.mean([np.cumsum([row["seconds"] for row in each[:length]]) for each in rows], axis=0)
        scores = np.array([[row["scores"]["oracle"] for row in each[:length]] for each in rows], float)
        finite = np.isfinite(scores).all(axis=0)
        points = [_point(float(x), list(column)) for x, column in zip(seconds[finite], scores.T[finite], strict=True)]
        if points:
            curves.setdefault(cell.pair, []).append(Curve(str(cell.method), points))
    return curves


@dataclass
class Trade:
    """A cell on the frontier plot: mean scores on the test splits of source and target."""

    cell: Cell
    source: float
    target: float
    best: bool = False


def frontier(cells: Iterable[Cell]) -> dict[Pair, list[Trade]]:
    """Return the source and target scores of every method, by pair; `best` marks the Pareto-optimal methods."""
    trades: dict[Pair, list[Trade]] = {}
    for cell in cells:
        sources = [run.source_score for run in cell.runs.values() if run.source_score is not None]
        if cell.pair.source and not cell.oracle and len(sources) == len(cell.runs):
            trade = Trade(cell, float(np.mean(sources)), cell.mean)
            trades.setdefault(cell.pair, []).append(trade)
    for row in trades.values():
        sign = row[0].cell.metric.sign
        for one in row:
            one.best = not any(
                sign * other.source >= sign * one.source
                and sign * other.target >= sign * one.target
                and (other.source, other.target) != (one.source, one.target)
                for other in row
            )
    return {pair: row for pair, row in trades.items() if len(row) > 1}


def _point(x: float, scores: list[float]) -> Point:
    limits = t_interval(scores) if len(scores) > 1 else None
    return Point(x, float(np.mean(scores)), limits and limits.low, limits and limits.high, len(scores))


def number(key: str, value: str) -> float | None:
    """Return the value of a setting as a number; None if it is not a finite number.

    For settings in `WITH_ALL` the value "all" gives infinity.
    """
    if value == "all" and key in WITH_ALL:
        return float("inf")
    try:
        place = float(value)
    except ValueError:
        return None
    return place if np.isfinite(place) else None
