"""The plots of the report. Each function draws one kind of plot from its data."""

from collections.abc import Mapping, Sequence

import numpy as np

from landbridge.report.cells import Cell
from landbridge.report.curves import Axis, Curve, Trade
from landbridge.report.numbers import interval_text, points, score_text, share
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
    rows = sorted(cells, key=lambda cell: -cell.gain)
    limits = [0.0]
    for cell in rows:
        judgement = cell.judgement
        assert judgement
        limits += [judgement.gain, *([judgement.interval.low, judgement.interval.high] if judgement.interval else [])]
    # Intervals of two or three seeds can be so wide that all other gains would be unreadable. Such intervals are cut.
    reach = 2.5 * max(abs(cell.gain) for cell in rows) + 0.02
    low, high = padded([max(-reach, min(limits)), min(reach, max(limits))], 0.04)
    left = 12 + LETTER * max(len(str(cell.method)) for cell in rows)
    plot = Plot(max(left + 300, 440), TOP + ROW * len(rows) + BOTTOM, f"gain of each strategy on {name}")
    x, bottom = Scale(low, high, left, plot.width - RIGHT), TOP + ROW * len(rows)
    for value in x.ticks():
        plot.line(x(value), TOP, x(value), bottom, "zero" if value == 0 else "grid")
        plot.text(x(value), bottom + 16, f"{100 * value:+g}" if value else "0")
    plot.text((x.start + x.end) / 2, bottom + 34, "gain over the reference, points")
    for i, cell in enumerate(rows):
        judgement, y = cell.judgement, TOP + ROW * (i + 0.5)
        assert judgement
        plot.text(left - 8, y + 4, str(cell.method), "end")
        tip = f"{cell.method}: {points(judgement.gain)} points over {cell.reference_name}"
        tip += f" {interval_text(judgement.interval, points, judgement.seeds)}, {judgement.verdict}: {judgement.reason}"
        if judgement.interval:
            ends = [min(max(end, low), high) for end in (judgement.interval.low, judgement.interval.high)]
            plot.line(x(ends[0]), y, x(ends[1]), y, f"whisker {judgement.verdict}")
        plot.mark(x(min(max(judgement.gain, low), high)), y, judgement.verdict, tip, VERDICT_SHAPES[judgement.verdict])
    return plot


def lines(curves: Sequence[Curve], x_title: str, y_title: str, name: str, axis: Axis | None = None) -> Plot:
    """Draw curves. Up to `NAMED` curves also get bands over seeds and a legend."""
    everything = [point for curve in curves for point in curve.points]
    xs = [point.x for point in everything]
    means = [point.mean for point in everything]
    ends = [end for point in everything for end in (point.low, point.high) if end is not None]
    reach = (max(means) - min(means)) * 0.5 + 0.05
    low = max(0.0, min([*means, *ends]), min(means) - reach)
    high = min(1.0, max([*means, *ends]), max(means) + reach)
    named = len(curves) <= NAMED
    columns = max(1, int(WIDTH // (30 + LETTER * max(len(curve.label) for curve in curves))))
    legend = 17 * -(-len(curves) // columns) if named else 0
    plot = Plot(WIDTH, HEIGHT + legend + 8, name)
    logarithmic = axis is not None and axis.logarithmic
    x = Scale(*padded(xs, 0.03, logarithmic), LEFT, WIDTH - RIGHT, logarithmic)
    y = Scale(*padded([low, high]), HEIGHT - BOTTOM, TOP)

    def place(px: float, value: float) -> tuple[float, float]:
        return x(px), y(min(max(value, y.low), y.high))

    plot.axes(x, y, x_title, y_title, axis and axis.ticks)
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
            tip = f"{curve.label}, {where}: {share(point.mean)} {interval_text(interval, share, point.n)}"
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
    plot = Plot(WIDTH, HEIGHT, label)
    x = Scale(*padded([trade.source for trade in row], 0.1), LEFT, WIDTH - RIGHT - 40)
    y = Scale(*padded([trade.target for trade in row], 0.1), HEIGHT - BOTTOM, TOP)
    ticks = {value: f"{100 * value:g}" for value in x.ticks()}
    plot.axes(x, y, "source accuracy, %", "target accuracy, %", ticks)
    best = sorted((trade for trade in row if trade.best), key=lambda trade: trade.source)
    plot.path([(x(trade.source), y(trade.target)) for trade in best], "frontier")
    for trade in row:
        name = str(trade.cell.method)
        tip = f"{name}: source {share(trade.source)}, target {score_text(trade.cell)}"
        plot.mark(x(trade.source), y(trade.target), colour(4 if trade.best else 7), tip, 3 if trade.best else 0)
        if trade.best and len(best) <= 4:
            beside = x(trade.source) < WIDTH / 2
            plot.text(x(trade.source) + (9 if beside else -9), y(trade.target) + 4, name, "start" if beside else "end")
    return plot


def costs(cells: Sequence[Cell], label: str) -> Plot:
    """Draw the scores of methods against the median seconds of a run."""
    timed = [(cell, seconds) for cell in cells if (seconds := cell.median_cost("seconds"))]
    plot = Plot(WIDTH, HEIGHT, label)
    x = Scale(*padded([seconds for _, seconds in timed], 0.08, True), LEFT, WIDTH - RIGHT - 30, True)
    y = Scale(*padded([cell.mean for cell, _ in timed], 0.1), HEIGHT - BOTTOM, TOP)
    plot.axes(x, y, "median seconds of a run", "target accuracy, %")
    for i, (cell, seconds) in enumerate(timed):
        name = str(cell.method)
        tip = f"{name}: {score_text(cell)}, {seconds:.1f} s"
        plot.mark(x(seconds), y(cell.mean), colour(i), tip, i // 8 % 5)
        if len(timed) <= 8:
            beside = x(seconds) < WIDTH * 0.6
            plot.text(x(seconds) + (9 if beside else -9), y(cell.mean) + 4, name, "start" if beside else "end")
    return plot


def rank_line(ranks: Mapping[str, float], difference: float) -> Plot:
    """Draw average ranks on a line, the best at the left, with Nemenyi's critical difference."""
    order = sorted(ranks, key=lambda name: ranks[name])
    half = -(-len(order) // 2)
    left = 20 + LETTER * max(map(len, order))
    plot = Plot(left * 2 + 420, 66 + 17 * half, "average ranks with the critical difference")
    x, line = Scale(1, len(order), left, plot.width - left), 44
    plot.line(x.start, line, x.end, line)
    for rank in range(1, len(order) + 1) if len(order) <= 30 else ():
        plot.line(x(rank), line - 4, x(rank), line)
        plot.text(x(rank), line - 8, str(rank), kind="small")
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


def confusion(matrix: np.ndarray, classes: Sequence[str]) -> Plot:
    """Draw a confusion matrix: rows are labels, columns are predictions, and shades are shares of a row."""
    n = len(classes)
    size = max(12.0, min(24.0, 260 / n))
    left = 30 + min(90, 6.5 * max(map(len, classes)))
    plot = Plot(left + n * size + 8, 26 + n * size + 20, "confusion matrix")
    step = -(-n // 30)
    for i, name in enumerate(classes):
        if i % step == 0:
            plot.text(left - 6, 26 + (i + 0.7) * size, name[:14], "end", "small")
            plot.text(left + (i + 0.5) * size, 20, name[: 3 if n > 5 else 6], kind="small")
        total = max(1, matrix[i].sum())
        for j, count in enumerate(matrix[i]):
            part = count / total
            tip = f"{name} predicted as {classes[j]}: {count} of {total} ({100 * part:.0f} %)"
            if count or n <= 20:
                kind = "right" if i == j else "wrong"
                plot.rect(
                    left + j * size, 26 + i * size, size - 1, size - 1, f"mark cell {kind}", tip, 0.04 + 0.96 * part
                )
            if count and n <= 12:
                plot.text(left + (j + 0.45) * size, 26 + (i + 0.68) * size, str(count), kind="count")
    plot.text(left + n * size / 2, 40 + n * size, "predicted (columns), label (rows)")
    return plot


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> Plot:
    """Draw accuracy over confidence in equally wide bins, open to the left as in the calibration error."""
    plot = Plot(320, 300, "calibration curve")
    x, y = Scale(0, 1, LEFT, 300), Scale(0, 1, 300 - BOTTOM, TOP)
    plot.axes(x, y, "confidence, %", "accuracy, %", {value: f"{100 * value:g}" for value in x.ticks()})
    plot.line(x(0), y(0), x(1), y(1), "zero")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    for each in range(bins):
        inside = place == each
        if inside.any():
            mean, right, n = float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum())
            tip = f"confidence {share(mean)}, accuracy {share(right)}, {n} samples"
            plot.mark(x(mean), y(right), colour(4), tip, 0, 2.5 + 5 * (n / len(confidence)) ** 0.5)
    return plot


def embedding(groups: Mapping[str, tuple[np.ndarray, np.ndarray]], classes: Sequence[str], name: str) -> Plot:
    """Draw the samples of each domain in the plane, coloured by class.

    Args:
        groups: by role, coordinates (n, 2) and labels (n,); the first role is drawn as dots, the second as crosses.
        classes: class names.
        name: description of the plot for screen readers.
    """
    side = 300
    plot = Plot(side, side + 18, name)
    everything = np.concatenate([coordinates for coordinates, _ in groups.values()])
    low, high = everything.min(0), everything.max(0)
    x = Scale(*padded([low[0], high[0]], 0.03), 4, side - 4)
    y = Scale(*padded([low[1], high[1]], 0.03), side - 4, 4)
    plot.rect(1, 1, side - 2, side - 2, "frame")
    for ring, (role, (coordinates, labels)) in enumerate(groups.items()):
        for number, label in enumerate(classes):
            chosen = coordinates[labels == number]
            if not len(chosen):
                continue
            # One path for each class keeps the file small. Dots are lines of length 0 with round ends.
            if ring:
                steps = "".join(f"M{x(px) - 2.5:g} {y(py):g}h5m-2.5-2.5v5" for px, py in chosen)
            else:
                steps = "".join(f"M{x(px):g} {y(py):g}h0" for px, py in chosen)
            kind = f"{'crosses' if ring else 'dots'} {colour(number)}"
            plot.parts.append(f'<path class="{kind}" d="{steps}"><title>{role}, class {label}</title></path>')
    plot.text(side / 2, side + 14, ", ".join(f"{role} {mark}" for role, mark in zip(groups, ("●", "+"), strict=False)))
    return plot
