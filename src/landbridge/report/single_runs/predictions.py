"""What is drawn of the predictions of one run, by the kind of its task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from landbridge.report.metrics import KNOWN
from landbridge.report.numbers import percent
from landbridge.report.single_runs import charts
from landbridge.report.single_runs.detail import Detail
from landbridge.report.tables.table import Column, Table

#: With more classes than this, the page shows no confusion matrix.
MOST_CLASSES = 60
#: Most numbers of a regression that are drawn, and most samples of each.
MOST_NUMBERS, MOST_SAMPLES = 6, 1000


def draw(
    found: Detail,
    task: Mapping[str, Any],
    outputs: np.ndarray,
    labels: np.ndarray,
    result: Mapping[str, Any],
    prefix: str = "",
) -> None:
    """Add plots and tables of the predictions on the target's test split.

    Args:
        found: the plots so far.
        task: description of the task.
        outputs: of the network (n, k).
        labels: labels, (n,) or (n, ...).
        result: metrics of the same samples.
        prefix: written before captions.
    """
    if task["kind"] in DRAWN:
        DRAWN[task["kind"]](found, task, outputs, labels, result, prefix)
    else:
        found.missing.append(f"a plot of predictions for the task {task['kind']}")


def _classes(found: Detail, task: Any, outputs: Any, labels: Any, result: Any, prefix: str) -> None:
    """Draw the confusion matrix and the calibration curve."""
    # Samples of unknown or hidden classes have no row.
    known = (labels >= 0) & (labels < len(task["names"]))
    outputs, labels = outputs[known], labels[known]
    classes, probabilities = task["names"], softmax(outputs.astype(float), axis=1)
    predicted = probabilities.argmax(1)
    if len(classes) <= MOST_CLASSES:
        matrix = np.zeros((len(classes), len(classes)), dtype=int)
        np.add.at(matrix, (labels, predicted), 1)
        found.plots.append((f"{prefix}Confusion", charts.confusion(matrix, classes)))
    else:
        found.missing.append(f"a confusion matrix of {len(classes)} classes")
    curve = charts.reliability(probabilities.max(1), predicted == labels)
    found.plots.append((f"{prefix}Calibration: error {percent(result['ece'])} points", curve))


def _numbers(found: Detail, task: Any, outputs: Any, labels: Any, result: Any, prefix: str) -> None:
    """Draw predicted against true values of each number."""
    labels = labels.reshape(len(labels), -1)
    for column, name in enumerate(task["names"][:MOST_NUMBERS]):
        known = np.flatnonzero(np.isfinite(labels[:, column]))
        if not len(known):
            found.missing.append(f"{name}: no sample has a value")
            continue
        some = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_SAMPLES)).round().astype(int))]
        of_name = {key: result.get(f"{key}_by_name", result).get(name, result.get(key)) for key in ("r2", "mae")}
        metrics = [
            f"{KNOWN[key].title} {KNOWN[key].text(value)}" for key, value in of_name.items() if value is not None
        ]
        plot = charts.scatter(labels[some, column].astype(float), outputs[some, column].astype(float), name)
        found.plots.append((f"{prefix}{name}: {', '.join(metrics) or 'predicted against true'}", plot))
    if len(task["names"]) > MOST_NUMBERS:
        found.missing.append(f"{len(task['names']) - MOST_NUMBERS} more numbers")


def _labels(found: Detail, task: Any, outputs: Any, labels: Any, result: Any, prefix: str) -> None:
    """Tabulate the average precision of each class."""
    precision = result.get("average_precision_by_class", {})
    positive = dict(zip(task["names"], (np.nan_to_num(labels) > 0).sum(0).tolist(), strict=True))
    write = KNOWN["average_precision"]
    columns = [
        Column("class", "class", lambda name: name, number=False),
        Column("samples", "samples", lambda name: positive[name]),
        Column(
            "average_precision",
            write.label,
            lambda name: precision.get(name),
            lambda name: write.text(precision[name]) if name in precision else "undefined",
        ),
    ]
    found.tables.append((f"{prefix}Average precision by class", Table("classes", columns, task["names"])))


def _several(found: Detail, task: Any, outputs: Any, labels: Any, result: Any, prefix: str) -> None:
    """Draw each task on the samples that have its label. Outputs and labels of all tasks stand side by side."""
    output = column = 0
    for name, own in task["tasks"].items():
        width = len(own["names"])
        columns = 1 if own["kind"] == "classification" else width
        logits, values = outputs[:, output : output + width], labels[:, column : column + columns]
        output, column = output + width, column + columns
        seen = ~np.isnan(values).all(axis=1)
        if not seen.any():
            found.missing.append(f"{name}: no test sample has a label")
            continue
        values = values[seen, 0].astype(int) if own["kind"] == "classification" else values[seen]
        draw(found, own, logits[seen], values, result.get("by_task", {}).get(name, {}), f"{prefix}{name}. ")


DRAWN = {"classification": _classes, "regression": _numbers, "multi_label": _labels, "several": _several}
