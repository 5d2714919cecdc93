"""The plots of single runs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from landbridge.report.charts import BOTTOM, LEFT, TOP
from landbridge.report.metrics import metric_of
from landbridge.report.numbers import share
from landbridge.report.svg import Plot, Scale, colour, padded


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
    percents = metric_of("accuracy").tick
    plot.axes(x, y, "confidence, %", "accuracy, %", {value: percents(value) for value in x.ticks()}, percents)
    plot.line(x(0), y(0), x(1), y(1), "zero")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    for each in range(bins):
        inside = place == each
        if inside.any():
            mean, right, n = float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum())
            tip = f"confidence {share(mean)}, accuracy {share(right)}, {n} samples"
            plot.mark(x(mean), y(right), colour(4), tip, 0, 2.5 + 5 * (n / len(confidence)) ** 0.5)
    return plot


def scatter(values: np.ndarray, predictions: np.ndarray, name: str) -> Plot:
    """Draw predicted against true numbers, both (n,). The line shows equality."""
    plot = Plot(320, 300, f"predicted against true {name}")
    limits = padded([float(end) for each in (values, predictions) for end in (each.min(), each.max())], 0.04)
    x, y = Scale(*limits, LEFT, 306), Scale(*limits, 300 - BOTTOM, TOP)
    plot.axes(x, y, f"true {name}", f"predicted {name}")
    plot.line(x(limits[0]), y(limits[0]), x(limits[1]), y(limits[1]), "zero")
    steps = "".join(f"M{x(value):g} {y(own):g}h0" for value, own in zip(values, predictions, strict=True))
    plot.draw("path", f"{len(values)} samples", class_=f"dots {colour(0)}", d=steps)
    return plot


class Group(NamedTuple):
    """Samples of one domain that are drawn in one colour.

    Attributes:
        title: shown on hover.
        kind: CSS class of the colour.
        points: coordinates (n, 2).
    """

    title: str
    kind: str
    points: np.ndarray


def embedding(groups: Mapping[str, Sequence[Group]], name: str, scale: Sequence[tuple[str, str]] = ()) -> Plot:
    """Draw the samples of each domain in the plane.

    Args:
        groups: by role; the first role is drawn as dots, the second as crosses.
        name: description of the plot for screen readers.
        scale: CSS class and text of each colour, for a legend; none for no legend.
    """
    side = 300
    plot = Plot(side, side + 18 + 20 * bool(scale), name)
    everything = np.concatenate([group.points for own in groups.values() for group in own])
    low, high = everything.min(0), everything.max(0)
    x = Scale(*padded([low[0], high[0]], 0.03), 4, side - 4)
    y = Scale(*padded([low[1], high[1]], 0.03), side - 4, 4)
    plot.rect(1, 1, side - 2, side - 2, "frame")
    for ring, own in enumerate(groups.values()):
        for group in own:
            # One path for each group keeps the file small. Dots are lines of length 0 with round ends.
            if ring:
                steps = "".join(f"M{x(px) - 2.5:g} {y(py):g}h5m-2.5-2.5v5" for px, py in group.points)
            else:
                steps = "".join(f"M{x(px):g} {y(py):g}h0" for px, py in group.points)
            kind = f"{'crosses' if ring else 'dots'} {group.kind}"
            plot.draw("path", group.title, class_=kind, d=steps)
    plot.text(side / 2, side + 14, ", ".join(f"{role} {mark}" for role, mark in zip(groups, ("●", "+"), strict=False)))
    for i, (kind, text) in enumerate(scale):
        width = side / len(scale)
        plot.rect(i * width, side + 22, width - 1, 4, f"cell {kind}")
        plot.text((i + 0.5) * width, side + 36, text, kind="small")
    return plot
