"""The table of methods by task, for targets with several tasks."""

from collections.abc import Sequence

import numpy as np

from landbridge.report.cells import Cell
from landbridge.report.metrics import Metric, metric_of
from landbridge.report.numbers import interval_text
from landbridge.report.tables.methods import method_columns
from landbridge.report.tables.table import Column, Table
from landbridge.statistics import t_interval


def task_table(cells: Sequence[Cell], name: str = "tasks") -> Table:
    """Return one row for each method and pair, and a column for each task with its own leading metric."""
    rows = [cell for cell in cells if "tasks" in cell.first.task()]
    metrics: dict[str, Metric] = {}
    for cell in rows:
        for task, each in cell.first.task()["tasks"].items():
            metrics[f"by_task.{task}.{each['leading']}"] = metric_of(each["leading"], each)
    columns = [column for key, metric in metrics.items() for column in _columns(key, metric)]
    stamp = Column(
        "stamp",
        "stamp",
        lambda c: "ORACLE" if c.oracle else None,
        style=lambda c: "stamp" if c.oracle else "",
        number=False,
    )
    return Table(name, [*method_columns(), stamp, Column("seeds", "seeds", lambda c: len(c.runs)), *columns], rows)


def _columns(key: str, metric: Metric) -> list[Column]:
    """Return the mean over seeds and the ends of its interval; empty where runs have no label of the task."""

    def scores(cell: Cell) -> list[float]:
        values = [cell.runs[seed].values.get(key) for seed in sorted(cell.runs)]
        return [value for value in values if value is not None]

    def mean(cell: Cell) -> float | None:
        return float(np.mean(own)) if (own := scores(cell)) else None

    def end(cell: Cell, name: str) -> float | None:
        return getattr(t_interval(own), name) if len(own := scores(cell)) > 1 else None

    def text(cell: Cell) -> str:
        own = scores(cell)
        if not own:
            return ""
        interval = t_interval(own) if len(own) > 1 else None
        return f"{metric.text(float(np.mean(own)))} {interval_text(interval, metric.text, len(own))}"

    task = key.removeprefix("by_task.").removesuffix(f".{metric.key}")
    return [
        Column(key, f"{task}: {metric.label} [95 %]", mean, text, lower=metric.lower),
        Column(f"{key}_low", "", lambda c: end(c, "low")),
        Column(f"{key}_high", "", lambda c: end(c, "high")),
    ]
