"""Short tables of verdicts as Markdown: one for each pair and setting of the comparison, to be put into a page."""

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from landbridge.report.answer import answer
from landbridge.report.cell_text import gain_text, score_text, verdict_text
from landbridge.report.cells import Cell, Comparison
from landbridge.report.controls import condition, control_of
from landbridge.report.escaping import in_markdown
from landbridge.report.names import varying
from landbridge.report.numbers import interval_text, seconds
from landbridge.report.runs import Pair
from landbridge.report.tables.table import Column, Table
from landbridge.statistics import t_interval


def verdict_tables(comparison: Comparison, control: str | None = None) -> Markup:
    """Return the headline of a report, and one table for each pair and each setting that varies between tables.

    With several pairs, tables of the means over pairs come first.

    Cells that share a table have equal settings, except for those of the method and the length of training. Oracles are
    the last rows of the tables of their target.

    Args:
        comparison: the cells.
        control: name of a simple strategy. The column `over its control` shows the gain of each method over its own
            ablation (`controls.ablates`) or, if it has none, over this strategy.

    Example:
        Source-only and DANN on one pair give:

        | method | seeds | accuracy, % [95 %] | lowest | gain, points [95 %] | reference | verdict | seconds |
        | --- | ---: | ---: | ---: | ---: | --- | --- | ---: |
        | source_only | 6 | 80.1 [78.4, 81.8] | 77.9 |  |  |  | 6.1 |
        | dann | 6 | 84.0 [82.8, 85.2] | 81.1 | +3.9 [+2.8, +5.0] | source_only | helps | 12.4 |
    """
    cells = comparison.cells
    conditions = Conditions(cells)
    lines = [f"**{in_markdown(answer(comparison).headline)}**"]
    transferring = [cell for cell in cells if cell.pair.source and not cell.oracle]
    for found in sorted({conditions.of(cell) for cell in transferring}):
        lines += _over_pairs([cell for cell in transferring if conditions.of(cell) == found], found, conditions.keys)
    for pair in comparison.pairs:
        own = [cell for cell in cells if cell.pair == pair and not cell.oracle]
        oracles = [cell for cell in cells if cell.pair.target == pair.target and (cell.oracle or not cell.pair.source)]
        for found in sorted({conditions.of(cell) for cell in own}):
            rows = [cell for cell in (*own, *oracles) if conditions.of(cell) == found]
            table = _table(rows, cells, conditions.keys, control)
            lines += ["", _heading(str(pair), found), "", table.markdown()]
    return Markup("\n".join(lines))


def _heading(name: str, found: Sequence[tuple[str, str]]) -> str:
    return f"### {in_markdown(', '.join([name, *(f'{key}={value}' for key, value in found)]))}"


def _name(cell: Cell, keys: Sequence[str]) -> str:
    """Return the name of a cell without the settings `keys`. The plain name is that of the default settings."""
    own = [f"{key}={value}" for key, value in cell.method.variant if key not in keys and value != "default"]
    return " ".join([*(["ORACLE:"] if cell.oracle else []), cell.method.strategy, *own])


def _over_pairs(cells: Sequence[Cell], found: Sequence[tuple[str, str]], keys: Sequence[str]) -> list[str]:
    """Return the lines of a table with the mean of each method over pairs; none for one pair or several metrics.

    Only pairs that all methods have count, so that all means are over the same pairs.
    """
    methods: dict[str, dict[Pair, Cell]] = {}
    for cell in cells:
        methods.setdefault(_name(cell, keys), {})[cell.pair] = cell
    pairs = [
        pair for pair in dict.fromkeys(cell.pair for cell in cells) if all(pair in own for own in methods.values())
    ]
    if len(pairs) < 2 or len({cell.metric for cell in cells}) > 1:
        return []
    metric = cells[0].metric
    rows = [(name, [own[pair] for pair in pairs]) for name, own in methods.items()]

    def mean(row: tuple[str, Sequence[Cell]]) -> str:
        seeds = sorted(set.intersection(*({*cell.runs} for cell in row[1])))
        means = [float(np.mean([cell.runs[seed].score for cell in row[1]])) for seed in seeds]
        interval = t_interval(means) if len(means) > 1 else None
        return (
            f"{metric.text(float(np.mean(means)))} {interval_text(interval, metric.text, len(means))}" if means else ""
        )

    def gain(row: tuple[str, Sequence[Cell]]) -> str:
        judged = [cell.gain for cell in row[1] if cell.judgement]
        return metric.change(float(np.mean(judged))) if len(judged) == len(pairs) else ""

    def count(verdict: str) -> Callable[[tuple[str, Sequence[Cell]]], int | None]:
        def number(row: tuple[str, Sequence[Cell]]) -> int | None:
            verdicts = [cell.verdict for cell in row[1]]
            return verdicts.count(verdict) if any(verdicts) else None

        return number

    table = Table(
        "pairs",
        [
            Column("method", "method", lambda row: row[0], number=False),
            Column(metric.key, f"mean {metric.label} [95 %]", mean, mean),
            Column("gain", f"mean gain, {metric.gain_label}", gain, gain),
            *(Column(verdict, verdict, count(verdict)) for verdict in ("helps", "harms", "undecided")),
        ],
        rows,
    )
    listed = ", ".join(map(str, pairs))
    said = f"Mean over the {len(pairs)} pairs that all methods have ({in_markdown(listed)}), and number of verdicts."
    return ["", _heading("All pairs", found), "", said, "", table.markdown()]


class Conditions:
    """The settings that tell the tables of a page apart.

    Args:
        cells: all cells of the page.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.keys = varying(condition(cell) for cell in cells)
        groups = dict.fromkeys(key.partition(".")[0] for key in self.keys)
        # A group is named by its option, if equal options have equal settings.
        self.options = [group for group in groups if self._tells(group, cells)]
        self.alone = [key for key in self.keys if key.partition(".")[0] not in self.options]

    def of(self, cell: Cell) -> tuple[tuple[str, str], ...]:
        """Return the settings of a cell, as names and values."""
        options = [(group, cell.first.record.choices[group]) for group in self.options]
        values = condition(cell)
        return (*options, *((key, values.get(key, "default")) for key in self.alone))

    def _tells(self, group: str, cells: Sequence[Cell]) -> bool:
        chosen = {cell.first.record.choices.get(group) for cell in cells}
        keys = [key for key in self.keys if key.partition(".")[0] == group]
        settings = {
            (cell.first.record.choices.get(group), *(condition(cell).get(key) for key in keys)) for cell in cells
        }
        return None not in chosen and len(settings) == len(chosen)


def _table(rows: Sequence[Cell], cells: Sequence[Cell], keys: Sequence[str], control: str | None) -> Table:
    metric = rows[0].metric
    worst, extreme = ("highest", max) if metric.lower else ("lowest", min)

    def method(cell: Cell) -> str:
        return _name(cell, keys)

    def reference(cell: Cell) -> str:
        return method(cell.reference) if cell.reference else ""

    def over_control(cell: Cell) -> str:
        beside = control_of(cell, cells, control)
        if beside is None:
            return ""
        write, gain = metric.change, beside.gain
        return f"{write(gain.mean)} {interval_text(gain.interval(), write, gain.seeds)} over {method(beside.cell)}"

    return Table(
        "verdicts",
        [
            Column("method", "method", method, number=False),
            Column("seeds", "seeds", lambda c: len(c.runs)),
            Column(metric.key, f"{metric.label} [95 %]", lambda c: c.mean, score_text),
            Column(worst, worst, lambda c: extreme(c.scores), lambda c: metric.text(extreme(c.scores))),
            Column("gain", f"gain, {metric.gain_label} [95 %]", gain_text, gain_text),
            Column("reference", "reference", reference, number=False),
            Column("verdict", "verdict", lambda c: c.verdict, verdict_text, number=False),
            Column("control", "over its control [95 %, uncorrected]", over_control, number=False),
            Column("flags", "flags", lambda c: "; ".join(c.flags), number=False),
            Column(
                "seconds", "seconds", lambda c: c.median_cost("seconds"), lambda c: seconds(c.median_cost("seconds"))
            ),
        ],
        rows,
    )
