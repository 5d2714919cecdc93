"""The tables of methods and pairs, with their columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from landbridge.report.cell_text import gain_text, score_text, verdict_text
from landbridge.report.cells import Cell, Comparison
from landbridge.report.metrics import Metric
from landbridge.report.numbers import count, megabytes, seconds
from landbridge.report.tables.table import Column, Table, Value


def _of_judgement(name: str) -> Callable[[Cell], Value]:
    return lambda cell: getattr(cell.judgement, name) if cell.judgement else None


def _end(interval: Callable[[Cell], Any], end: str) -> Callable[[Cell], Value]:
    return lambda cell: getattr(interval(cell), end, None)


def _setting(cell: Cell) -> str:
    return " ".join(f"{key}={value}" for key, value in cell.method.variant)


def _gain_interval(cell: Cell) -> Any:
    return cell.judgement and cell.judgement.interval


def cell_table(comparison: Comparison, name: str = "cells", oracle: bool = False) -> Table:
    """Return one row for each method and pair: score, gain, verdict and cost.

    Args:
        comparison: the cells. If they have several metrics, each metric has columns of its own.
        name: identifier on the page.
        oracle: return the rows that used labels which the other rows cannot use, stamped ORACLE, instead of the others.
    """
    metrics = list(dict.fromkeys(cell.metric for cell in comparison.cells)) or [comparison.metric]
    columns = _cell_columns(metrics)
    return Table(name, columns, [cell for cell in comparison.cells if cell.oracle == oracle])


def _score_columns(metric: Metric) -> list[Column]:
    """Return the columns of one metric. They are empty for cells with another metric."""

    def own(value: Callable[[Cell], Value]) -> Callable[[Cell], Value]:
        return lambda cell: value(cell) if cell.metric == metric else None

    key, worst, extreme = metric.key, ("highest" if metric.lower else "lowest"), (max if metric.lower else min)
    return [
        Column(key, f"{metric.label} [95 %]", own(lambda c: c.mean), score_text, lower=metric.lower),
        Column(f"{key}_low", "", own(_end(lambda c: c.interval, "low"))),
        Column(f"{key}_high", "", own(_end(lambda c: c.interval, "high"))),
        Column(f"{key}_sd", "", own(lambda c: float(np.std(c.scores, ddof=1)) if len(c.scores) > 1 else None)),
        Column(
            f"{key}_{worst}",
            worst,
            own(lambda c: extreme(c.scores)),
            lambda c: metric.text(extreme(c.scores)),
            lower=metric.lower,
        ),
    ]


def method_columns() -> list[Column]:
    """Return the columns that say which method on which pair a row is about. Rows are cells."""
    return [
        Column("source", "source", lambda c: c.pair.source, lambda c: c.pair.source or "—", number=False),
        Column("target", "target", lambda c: c.pair.target, number=False),
        Column("strategy", "strategy", lambda c: c.method.strategy, number=False),
        Column("setting", "setting", _setting, number=False),
    ]


def _cell_columns(metrics: Sequence[Metric]) -> list[Column]:
    metric = metrics[0]
    return [
        *method_columns(),
        Column("stamp", "stamp", lambda c: "ORACLE" if c.oracle else None, style=lambda c: "stamp", number=False),
        Column("task", "", lambda c: c.kind),
        Column("metric", "", lambda c: c.metric.key),
        Column("seeds", "seeds", lambda c: len(c.runs)),
        *(column for each in metrics for column in _score_columns(each)),
        Column("reference", "reference", lambda c: c.reference_name, number=False),
        Column("paired_seeds", "", _of_judgement("seeds")),
        Column("gain", f"gain, {metric.gain_label} [95 %]", _of_judgement("gain"), gain_text),
        Column("gain_low", "", _end(_gain_interval, "low")),
        Column("gain_high", "", _end(_gain_interval, "high")),
        Column("gain_error", "", _error),
        Column("p", "", _of_judgement("p")),
        Column("holm_p", "p (Holm)", _of_judgement("adjusted_p"), lambda c: _p(c)),
        Column("corrected_over", "", _of_judgement("comparisons")),
        Column(
            "verdict",
            "verdict",
            _of_judgement("verdict"),
            verdict_text,
            style=lambda c: f"verdict {c.verdict}" if c.verdict else "",
            tip=lambda c: c.reason,
            number=False,
        ),
        Column("reason", "", lambda c: c.reason),
        Column("flags", "flags", lambda c: "; ".join(c.flags), number=False),
        *cost_columns(),
    ]


def _p(cell: Cell) -> str:
    return f"{cell.judgement.adjusted_p:.3f}" if cell.judgement else ""


def _error(cell: Cell) -> float | None:
    """Return the standard error of the gain; None if it is not known."""
    return cell.judgement.estimate.error if cell.judgement and cell.judgement.interval else None


def cost_columns() -> list[Column]:
    """Return the columns for the cost of a run, as the median over the seeds of a cell."""

    def column(key: str, title: str, write: Callable[[float | None], str]) -> Column:
        return Column(key, title, lambda c: c.median_cost(key), lambda c: write(c.median_cost(key)))

    return [
        column("seconds", "seconds", seconds),
        column("parameters", "", count),
        column("trainable_parameters", "trained parameters", count),
        column("peak_memory_bytes", "peak memory", megabytes),
    ]


def wide_table(comparison: Comparison, ranks: Mapping[str, float], name: str = "wide") -> Table:
    """Return the table with one row for each method and one column for each pair, sorted by average rank.

    Further columns hold the average rank, if there are ranks, and the cost of a run as the median over all pairs.

    Args:
        comparison: the cells.
        ranks: average rank by the name of the method; methods without a rank come last.
        name: identifier on the page.

    Example:
        Two methods on two pairs give:

        | strategy | mnist → usps | usps → mnist | average rank | seconds | ... |
        | --- | ---: | ---: | ---: | ---: | --- |
        | dann | 93.0 [91.8, 94.2] | 81.5 [79.0, 84.0] | 1.0 | 41.2 | ... |
        | source_only | 80.1 [78.4, 81.8] | 60.3 [57.7, 62.9] | 2.0 | 20.7 | ... |
    """
    methods = comparison.methods
    cells = {(cell.method, cell.pair): cell for cell in comparison.cells}
    lower = comparison.metric.lower

    def column(pair: Any) -> Column:
        def text(method: Any) -> str:
            cell = cells.get((method, pair))
            return score_text(cell) if cell else ""

        def style(method: Any) -> str:
            cell = cells.get((method, pair))
            return f"verdict {cell.verdict}" if cell and cell.verdict else ""

        def mean(method: Any) -> float | None:
            return cell.mean if (cell := cells.get((method, pair))) else None

        return Column(str(pair), str(pair), mean, text, style, lower=lower)

    def cost(key: str, method: Any) -> float | None:
        values = [
            value for pair in comparison.pairs if (c := cells.get((method, pair))) and (value := c.median_cost(key))
        ]
        return float(np.median(values)) if values else None

    def rank(method: Any) -> str:
        return f"{ranks[str(method)]:.1f}" if str(method) in ranks else ""

    columns = [Column("strategy", "strategy", str, number=False), *map(column, comparison.pairs)]
    if ranks:
        columns.append(Column("rank", "average rank", lambda m: ranks.get(str(m)), rank, lower=True))
    columns += [
        Column("seconds", "seconds", lambda m: cost("seconds", m), lambda m: seconds(cost("seconds", m))),
        Column(
            "trainable_parameters",
            "trained parameters",
            lambda m: cost("trainable_parameters", m),
            lambda m: count(cost("trainable_parameters", m)),
        ),
        Column(
            "peak_memory_bytes",
            "peak memory",
            lambda m: cost("peak_memory_bytes", m),
            lambda m: megabytes(cost("peak_memory_bytes", m)),
        ),
    ]
    ordered = sorted(methods, key=lambda method: ranks.get(str(method), len(methods)))
    return Table(name, columns, ordered)
