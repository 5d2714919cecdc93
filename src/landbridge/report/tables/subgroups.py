"""Metrics of subgroups of the test samples: each group with its number of samples and intervals, and the gaps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from landbridge.report.cells import Cell
from landbridge.report.metrics import Metric, metric_of
from landbridge.report.numbers import interval_text
from landbridge.report.tables.methods import method_columns
from landbridge.report.tables.table import Column, Table, Value
from landbridge.statistics import Interval, t_interval


@dataclass(frozen=True)
class Group:
    """Results of one cell on the samples with one value of an attribute.

    Attributes:
        value: the value of the attribute.
        n: mean number of test samples over seeds.
        scores: the metric, by seed.
        items: 95 % interval over test samples, mean of its ends over seeds; None if records have none.
    """

    value: str
    n: float
    scores: Sequence[float]
    items: tuple[float, float] | None

    @property
    def mean(self) -> float:
        """Mean score over seeds."""
        return float(np.mean(self.scores))


@dataclass(frozen=True)
class Groups:
    """All groups by one attribute in one cell.

    Attributes:
        cell: method and pair.
        role: whether the samples are the target's or the source's.
        attribute: name of the attribute.
        metric: the leading metric of the domain's task. Higher is better.
        groups: in the order of the records.
        gaps: for each seed, the best group's score minus the worst group's.
    """

    cell: Cell
    role: str
    attribute: str
    metric: Metric
    groups: Sequence[Group]
    gaps: Sequence[float]

    @property
    def worst(self) -> Group:
        """The group with the lowest mean score."""
        return min(self.groups, key=lambda group: group.mean)

    @property
    def best(self) -> Group:
        """The group with the highest mean score."""
        return max(self.groups, key=lambda group: group.mean)

    @property
    def gap(self) -> float:
        """Mean gap over seeds."""
        return float(np.mean(self.gaps))


def subgroups(cells: Iterable[Cell]) -> list[Groups]:
    """Return the groups of every cell, by the attributes that all its runs have."""
    found = []
    for cell in cells:
        for role in ("target", "source"):
            metric = metric_of(cell.first.task(role)["leading"], cell.first.task(role))
            if metric != cell.first.leading:
                continue  # the source has another task
            runs = [cell.runs[seed].record.results.get(role, {}).get("subgroups", {}) for seed in sorted(cell.runs)]
            for attribute in runs[0]:
                own = [run.get(attribute, {}) for run in runs]
                if groups := _groups(cell, role, attribute, metric, own):
                    found.append(groups)
    return found


def _groups(
    cell: Cell, role: str, attribute: str, metric: Metric, runs: Sequence[Mapping[str, Mapping[str, Any]]]
) -> Groups | None:
    """Return the groups in which every run has samples and a finite score; None if there is none."""
    key = metric.key
    shared = [value for value in runs[0] if all(_is_finite(run.get(value, {}).get(key)) for run in runs)]
    groups = []
    for value in shared:
        rows = [run[value] for run in runs]
        ends = [(row.get("low"), row.get("high")) for row in rows]
        known = [(low, high) for low, high in ends if low is not None and high is not None]
        items = tuple(map(float, np.mean(known, axis=0))) if len(known) == len(rows) else None
        scores = [float(row[key]) for row in rows]
        groups.append(Group(value, float(np.mean([row["n"] for row in rows])), scores, items))  # type: ignore[arg-type]
    if not groups:
        return None
    table = np.array([group.scores for group in groups])
    return Groups(cell, role, attribute, metric, groups, [float(gap) for gap in np.ptp(table, axis=0)])


def _over_seeds(scores: Sequence[float]) -> Interval | None:
    return t_interval(scores) if len(scores) > 1 else None


def gap_table(rows: Sequence[Groups], name: str = "gaps") -> Table:
    """Return one row for each method, pair and attribute: the worst and the best group, and the gap between them."""
    metric = rows[0].metric if rows else metric_of("accuracy")
    return Table(
        name,
        [
            *_about(lambda row: row),
            Column("groups", "groups", lambda r: len(r.groups)),
            Column("worst", "worst group", lambda r: r.worst.value, number=False),
            Column("worst_n", "its samples", lambda r: r.worst.n, lambda r: f"{r.worst.n:g}"),
            Column("worst_score", f"its {metric.label}", lambda r: r.worst.mean, lambda r: r.metric.text(r.worst.mean)),
            Column("best", "best group", lambda r: r.best.value, number=False),
            Column("best_score", f"its {metric.label}", lambda r: r.best.mean, lambda r: r.metric.text(r.best.mean)),
            Column(
                "gap",
                f"gap, {metric.gain_label} [95 %]",
                lambda r: r.gap,
                lambda r: f"{r.metric.text(r.gap)} {interval_text(_over_seeds(r.gaps), r.metric.text, len(r.gaps))}",
                lower=True,
            ),
            Column("gap_low", "", lambda r: getattr(_over_seeds(r.gaps), "low", None)),
            Column("gap_high", "", lambda r: getattr(_over_seeds(r.gaps), "high", None)),
        ],
        rows,
    )


def group_table(rows: Sequence[Groups], name: str = "subgroups") -> Table:
    """Return one row for each group of each method, pair and attribute. The worst group is marked."""
    metric = rows[0].metric if rows else metric_of("accuracy")

    def score(row: tuple[Groups, Group]) -> str:
        groups, group = row
        write = groups.metric.text
        return f"{write(group.mean)} {interval_text(_over_seeds(group.scores), write, len(group.scores))}"

    def items(end: int) -> Any:
        def value(row: tuple[Groups, Group]) -> Value:
            return row[1].items[end] if row[1].items else None

        return value

    def end(name: str) -> Any:
        return lambda row: getattr(_over_seeds(row[1].scores), name, None)

    def is_worst(row: tuple[Groups, Group]) -> bool:
        return len(row[0].groups) > 1 and row[1] is row[0].worst

    return Table(
        name,
        [
            *_about(lambda row: row[0]),
            Column("value", "group", lambda r: r[1].value, number=False),
            Column(
                "worst",
                "worst",
                lambda r: "worst" if is_worst(r) else None,
                style=lambda r: "oracle" if is_worst(r) else "",
                number=False,
            ),
            Column("n", "samples", lambda r: r[1].n, lambda r: f"{r[1].n:g}"),
            Column("score", f"{metric.label} [95 %]", lambda r: r[1].mean, score),
            Column("score_low", "", end("low")),
            Column("score_high", "", end("high")),
            Column(
                "items_low",
                "over samples",
                items(0),
                lambda r: interval_text(r[1].items, r[0].metric.text) if r[1].items else "",
            ),
            Column("items_high", "", items(1)),
        ],
        [(row, group) for row in rows for group in row.groups],
    )


def _about(groups: Any) -> list[Column]:
    """Return the columns that say which method, pair, domain and attribute a row is about."""

    def of_cell(column: Column) -> Column:
        value: Any = column.value
        text: Any = column.text
        return Column(
            column.key,
            column.title,
            lambda row: value(groups(row).cell),
            (lambda row: text(groups(row).cell)) if text else None,
            number=False,
        )

    return [
        *map(of_cell, method_columns()),
        Column(
            "stamp",
            "stamp",
            lambda r: "ORACLE" if groups(r).cell.oracle else None,
            style=lambda r: "stamp" if groups(r).cell.oracle else "",
        ),
        Column("metric", "", lambda r: groups(r).metric.key),
        Column("seeds", "seeds", lambda r: len(groups(r).cell.runs)),
        Column("domain", "test split of", lambda r: groups(r).role, number=False),
        Column("attribute", "attribute", lambda r: groups(r).attribute, number=False),
    ]


def _is_finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(float(value)))
