"""The plots of the report. Each function draws one kind of plot from its data."""

from collections.abc import Mapping, Sequence

import numpy as np

from landbridge.report.cell_text import score_text
from landbridge.report.cells import Cell
from landbridge.report.curves import Axis, Curve, Trade
from landbridge.report.metrics import Metric
from landbridge.report.numbers import interval_text
from landbridge.report.svg import Plot, Scale, colour, dash, padded

#: Shapes of the marks by verdict, in addition to colours.
VERDICT_SHAPES = {"helps": 2, "harms": 4, "undecided": 0}
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 46
ROW = 19
#: Width of an average letter.
LETTER = 7.2
#: Plots with at most this many curves have bands and a legend. Plots with more show the names only on hover.
NAMED = 16


def forest(cells: Sequence[Cell], name: str) -> Plot:
    """Draw the gains of the methods on one pair with their intervals, largest gain first."""
    rows, metric = sorted(cells, key=lambda cell: -cell.gain), cells[0].metric
    limits = [0.0]
    for cell in rows:
        judgement = cell.judgement
        assert judgement
        limits += [judgement.gain, *([judgement.interval.low, judgement.interval.high] if judgement.interval else [])]
    # Intervals of two or three seeds can be so wide that all other gains would be unreadable. Such intervals are cut.
    reach = 2.5 * max(abs(cell.gain) for cell in rows) + (0.02 if metric.is_share else 0)
    low, high = padded([max(-reach, min(limits)), min(reach, max(limits))], 0.04)
    left = 12 + LETTER * max(len(str(cell.method)) for cell in rows)
    plot = Plot(max(left + 300, 440), TOP + ROW * len(rows) + BOTTOM, f"gain of each strategy on {name}")
    x, bottom = Scale(low, high, left, plot.width - RIGHT), TOP + ROW * len(rows)
    for value in x.ticks():
        plot.line(x(value), TOP, x(value), bottom, "zero" if value == 0 else "grid")
        plot.text(x(value), bottom + 16, f"{100 * value if metric.is_share else value:+g}" if value else "0")
    plot.text((x.start + x.end) / 2, bottom + 34, f"gain over the reference, {metric.gain_label}")
    for i, cell in enumerate(rows):
        judgement, y = cell.judgement, TOP + ROW * (i + 0.5)
        assert judgement
        plot.text(left - 8, y + 4, str(cell.method), "end")
        tip = f"{cell.method}: {metric.change(judgement.gain)} {metric.gain_unit} over {cell.reference_name}"
        tip += f" {interval_text(judgement.interval, metric.change, judgement.seeds)}, {judgement.verdict}"
        tip += f": {judgement.reason}"
        if judgement.interval:
            ends = [min(max(end, low), high) for end in (judgement.interval.low, judgement.interval.high)]
            plot.line(x(ends[0]), y, x(ends[1]), y, f"whisker {judgement.verdict}")
        plot.mark(x(min(max(judgement.gain, low), high)), y, judgement.verdict, tip, VERDICT_SHAPES[judgement.verdict])
    return plot


def lines(
    curves: Sequence[Curve], metric: Metric, x_title: str, y_title: str, name: str, axis: Axis | None = None
) -> Plot:
    """Draw curves of a metric. Up to `NAMED` curves also get bands over seeds and a legend."""
    everything = [point for curve in curves for point in curve.points]
    xs = [point.x for point in everything]
    means = [point.mean for point in everything]
    ends = [end for point in everything for end in (point.low, point.high) if end is not None]
    least = 0.05 if metric.is_share else 0.05 * max(map(abs, means))
    reach = (max(means) - min(means)) * 0.5 + least
    bottom, top = (0.0, 1.0) if metric.is_share else (-np.inf, np.inf)
    low = max(bottom, min([*means, *ends]), min(means) - reach)
    high = min(top, max([*means, *ends]), max(means) + reach)
    named = len(curves) <= NAMED
    columns = max(1, int(WIDTH // (30 + LETTER * max(len(curve.label) for curve in curves))))
    legend = 17 * -(-len(curves) // columns) if named else 0
    plot = Plot(WIDTH, HEIGHT + legend + 8, name)
    logarithmic = axis is not None and axis.logarithmic
    x = Scale(*padded(xs, 0.03, logarithmic), LEFT, WIDTH - RIGHT, logarithmic)
    y = Scale(*padded([low, high]), HEIGHT - BOTTOM, TOP)

    def place(px: float, value: float) -> tuple[float, float]:
        return x(px), y(min(max(value, y.low), y.high))

    plot.axes(x, y, x_title, y_title, axis and axis.ticks, metric.tick)
    for i, curve in enumerate(curves):
        banded = [
            (each.x, each.low, each.high) for each in curve.points if each.low is not None and each.high is not None
        ]
        if named and len(banded) > 1:
            lower = [place(at, low) for at, low, _ in banded]
            upper = [place(at, high) for at, _, high in banded]
            plot.band(lower, upper, colour(i))
    for i, curve in enumerate(curves):
        plot.path([place(point.x, point.mean) for point in curve.points], f"curve {colour(i)}", dash(i), curve.label)
        for point in curve.points:
            where = axis.ticks[point.x] if axis else f"{point.x:.1f} s"
            interval = None if point.low is None or point.high is None else (point.low, point.high)
            tip = f"{curve.label}, {where}: {metric.full(point.mean)} {interval_text(interval, metric.full, point.n)}"
            plot.mark(*place(point.x, point.mean), colour(i), tip, i // 8 % 5, 3)
        if not named:
            continue
        row, column = divmod(i, columns)
        at, line = LEFT + column * (WIDTH - LEFT) / columns, HEIGHT + 6 + 17 * row
        plot.path([(at, line), (at + 18, line)], f"curve {colour(i)}", dash(i))
        plot.text(at + 23, line + 4, curve.label, "start")
    return plot


def trades(row: Sequence[Trade], label: str) -> Plot:
    """Draw target scores against source scores. A line joins the Pareto-optimal methods; up to four are named."""
    plot, metric = Plot(WIDTH, HEIGHT, label), row[0].cell.metric
    x = Scale(*padded([trade.source for trade in row], 0.1), LEFT, WIDTH - RIGHT - 40)
    y = Scale(*padded([trade.target for trade in row], 0.1), HEIGHT - BOTTOM, TOP)
    ticks = {value: metric.tick(value) for value in x.ticks()}
    plot.axes(x, y, f"source {metric.label}", f"target {metric.label}", ticks, metric.tick)
    best = sorted((trade for trade in row if trade.best), key=lambda trade: trade.source)
    plot.path([(x(trade.source), y(trade.target)) for trade in best], "frontier")
    for trade in row:
        name = str(trade.cell.method)
        tip = f"{name}: source {metric.full(trade.source)}, target {score_text(trade.cell)}"
        plot.mark(x(trade.source), y(trade.target), colour(4 if trade.best else 7), tip, 3 if trade.best else 0)
        if trade.best and len(best) <= 4:
            beside = x(trade.source) < WIDTH / 2
            plot.text(x(trade.source) + (9 if beside else -9), y(trade.target) + 4, name, "start" if beside else "end")
    return plot


def costs(cells: Sequence[Cell], label: str) -> Plot:
    """Draw the scores of methods against the median seconds of a run."""
    timed = [(cell, seconds) for cell in cells if (seconds := cell.median_cost("seconds"))]
    plot, metric = Plot(WIDTH, HEIGHT, label), cells[0].metric
    x = Scale(*padded([seconds for _, seconds in timed], 0.08, True), LEFT, WIDTH - RIGHT - 30, True)
    y = Scale(*padded([cell.mean for cell, _ in timed], 0.1), HEIGHT - BOTTOM, TOP)
    plot.axes(x, y, "median seconds of a run", f"target {metric.label}", y_tick=metric.tick)
    for i, (cell, seconds) in enumerate(timed):
        name = str(cell.method)
        tip = f"{name}: {score_text(cell)}, {seconds:.1f} s"
        plot.mark(x(seconds), y(cell.mean), colour(i), tip, i // 8 % 5)
        if len(timed) <= 8:
            beside = x(seconds) < WIDTH * 0.6
            plot.text(x(seconds) + (9 if beside else -9), y(cell.mean) + 4, name, "start" if beside else "end")
    return plot


def rank_line(ranks: Mapping[str, float], difference: float | None) -> Plot:
    """Draw average ranks on a line, the best at the left, with Nemenyi's critical difference if there is one."""
    order = sorted(ranks, key=lambda name: ranks[name])
    half = -(-len(order) // 2)
    left = 20 + LETTER * max(map(len, order))
    plot = Plot(left * 2 + 420, 66 + 17 * half, "average ranks")
    x, line = Scale(1, len(order), left, plot.width - left), 44
    plot.line(x.start, line, x.end, line)
    for rank in range(1, len(order) + 1) if len(order) <= 30 else ():
        plot.line(x(rank), line - 4, x(rank), line)
        plot.text(x(rank), line - 8, str(rank), kind="small")
    if difference is not None:
        plot.line(x.start, 14, min(x(1 + difference), x.end), 14, "whisker undecided")
        plot.text(x.start, 10, f"critical difference {difference:.2f}", "start", "small")
    for i, name in enumerate(order):
        ahead = i < half
        row = i if ahead else len(order) - 1 - i
        y, at = line + 22 + 17 * row, x(ranks[name])
        end = x.start - 6 if ahead else x.end + 6
        plot.path([(at, line), (at, y - 4), (end, y - 4)], "leader")
        plot.text(end - 4 if ahead else end + 4, y, name, "end" if ahead else "start")
        plot.mark(at, line, colour(4), f"{name}: average rank {ranks[name]:.2f}", 0, 3.5)
    return plot
