"""The figures of a report: gains, curves over settings and time, frontiers and costs."""

from dataclasses import dataclass

from landbridge.report import charts, curves
from landbridge.report.cells import Comparison
from landbridge.report.svg import Plot


@dataclass
class Figure:
    """Plots under one heading, with a note on how to read them."""

    title: str
    plots: list[tuple[str, Plot]]
    note: str = ""


def forests(comparison: Comparison) -> list[tuple[str, Plot]]:
    """Return a plot of the gains for each pair with a verdict."""
    rows = [(pair, [cell for cell in comparison.judged if cell.pair == pair]) for pair in comparison.pairs]
    return [(str(pair), charts.forest(cells, str(pair))) for pair, cells in rows if cells]


def figures(comparison: Comparison) -> list[Figure]:
    """Return the curves and the plots of costs and frontiers of the pairs of one task."""
    cells = [cell for cell in comparison.cells if not cell.oracle]
    if not cells:
        return []
    metric, leading = comparison.metric, cells[0].first.leading
    found = []
    for axis in curves.axes(cells):
        plots = [
            (str(pair), charts.lines(row, metric, axis.key, f"target {metric.label}", f"{axis.title}, {pair}", axis))
            for pair, row in axis.curves.items()
        ]
        note = "Mean over seeds; the band is Student's t interval at 95 %. All other settings are equal along a line."
        found.append(Figure(axis.title, plots, note))
    transferring = [cell for cell in cells if cell.pair.source]
    timed = [
        (
            str(pair),
            charts.lines(
                row, leading, "seconds of training", f"validation {leading.label}", f"time to {leading.title}, {pair}"
            ),
        )
        for pair, row in curves.over_time(transferring).items()
    ]
    if timed:
        note = (
            f"ORACLE: {leading.title} on the target's validation split. Its labels were read only after training. "
            "Seconds count the epochs of the run itself, not the training of the source model that start=source "
            "continues."
        )
        found.append(Figure(f"Time to {leading.title}", timed, note))
    fronts = [(str(pair), charts.trades(row, f"frontier, {pair}")) for pair, row in curves.frontier(cells).items()]
    if fronts:
        note = (
            f"{metric.sentence} on the target against {metric.title} on the source. "
            "The line joins the Pareto-optimal methods: no other is at least equal in both and better in one."
        )
        found.append(Figure("Generalisation and specialisation", fronts, note))
    priced = [
        (str(pair), charts.costs(row, f"cost, {pair}"))
        for pair in comparison.pairs
        if len(row := [c for c in transferring if c.pair == pair and c.median_cost("seconds")]) > 1
    ]
    if priced:
        found.append(
            Figure(
                f"{metric.sentence} and cost",
                priced,
                "Seconds of a run: reading data, training and testing. Median over seeds.",
            )
        )
    return found
