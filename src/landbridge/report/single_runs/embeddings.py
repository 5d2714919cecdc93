"""The test samples in the plane, coloured by class, by value or in one colour."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from landbridge.report.numbers import significant
from landbridge.report.single_runs.charts import Group
from landbridge.report.svg import colour

#: Number of colours of the scale for values; CSS classes v0 (lowest) to v4 (highest).
STEPS = 5
ONE_COLOUR = colour(0)

Coloured = tuple[dict[str, list[Group]], list[tuple[str, str]]]


def coloured(
    plane: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], tasks: Mapping[str, Mapping[str, Any]]
) -> Coloured:
    """Return the samples of each domain by colour, and a legend.

    Args:
        plane: by role, coordinates (n, 2).
        labels: by role, labels of the same samples.
        tasks: by role, description of the task.
    """
    kinds = {task["kind"] for task in tasks.values()}
    if kinds == {"classification"}:
        return _by_class(plane, labels, tasks)
    if kinds == {"regression"}:
        return _by_value(plane, labels, tasks)
    return {role: [Group(role, ONE_COLOUR, points)] for role, points in plane.items()}, []


def colouring(tasks: Sequence[Mapping[str, Any]]) -> str:
    """Return what the colours mean, for a caption; empty for one colour."""
    kinds = {task["kind"] for task in tasks}
    if kinds == {"regression"}:
        return f", coloured by {tasks[0]['names'][0]}"
    return ""


def _by_class(plane: Any, labels: Any, tasks: Any) -> Coloured:
    # A class has the same colour in both domains, at whichever index.
    names = list(dict.fromkeys(name for task in tasks.values() for name in task["names"]))
    groups = {
        role: [
            Group(f"{role}, class {name}", colour(names.index(name)), points[labels[role] == index])
            for index, name in enumerate(tasks[role]["names"])
            if (labels[role] == index).any()
        ]
        for role, points in plane.items()
    }
    return groups, []


def _by_value(plane: Any, labels: Any, tasks: Any) -> Coloured:
    """Colour by the first number, in steps of equal width without the lowest and highest hundredth."""
    values = {role: each.reshape(len(each), -1)[:, 0].astype(float) for role, each in labels.items()}
    together = np.concatenate(list(values.values()))
    low, high = np.nanquantile(together, [0.01, 0.99])
    edges = np.linspace(low, high, STEPS + 1)
    if not high > low:
        return {role: [Group(role, ONE_COLOUR, points)] for role, points in plane.items()}, []
    texts = [f"{significant(a)} to {significant(b)}" for a, b in pairwise(edges)]
    groups = {}
    for role, points in plane.items():
        step = np.digitize(values[role], edges[1:-1])
        known = ~np.isnan(values[role])
        groups[role] = [
            Group(f"{role}, {tasks[role]['names'][0]} {texts[at]}", f"v{at}", points[known & (step == at)])
            for at in range(STEPS)
            if (known & (step == at)).any()
        ]
    # Only the ends have a text, because all ranges would not fit.
    ends = {0: f"≤ {significant(edges[1])}", STEPS - 1: f"> {significant(edges[-2])}"}
    return groups, [(f"v{at}", ends.get(at, "")) for at in range(STEPS)]
