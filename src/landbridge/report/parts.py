"""What the page shows of the pairs of one task. Pairs of different tasks are never in one matrix, rank or mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.report import charts
from landbridge.report.cells import Comparison
from landbridge.report.figures import Figure, figures, forests
from landbridge.report.matrices import Matrix, judged_methods, matrices
from landbridge.report.metrics import Metric
from landbridge.report.ranking import Ranks, rank
from landbridge.report.rules import RuleRow
from landbridge.report.svg import Plot
from landbridge.report.tables.by_task import task_table
from landbridge.report.tables.methods import cell_table, wide_table
from landbridge.report.tables.rules import rule_table
from landbridge.report.tables.subgroups import gap_table, group_table, subgroups
from landbridge.report.tables.table import Table

#: With at most this many methods the page shows all matrices at once. With more it shows one at a time.
MATRICES_AT_ONCE = 3


@dataclass
class Part:
    """The matrices, tables and plots of the pairs of one task and metric.

    Attributes:
        title: the task and its metric; empty if the report has only one part.
        metric: the metric that runs are compared by.
        leading: the leading metric of the task, which the oracle scores.
        is_classification: whether classes are predicted, one a sample.
    """

    title: str
    metric: Metric
    leading: Metric
    is_classification: bool
    matrices: list[Matrix]
    one_at_a_time: bool
    forests: list[tuple[str, Plot]]
    ranks: Ranks | None
    rank_plot: Plot | None
    figures: list[Figure]
    cells: Table
    oracle: Table
    wide: Table
    rules: Table
    tasks: Table
    gaps: Table
    groups: Table


def parts(comparison: Comparison, rules: Sequence[RuleRow]) -> list[Part]:
    """Return the parts of a report, one for each task and metric."""
    found = comparison.parts
    return [_part(part, rules, f"-{i}" if i else "", len(found) > 1) for i, part in enumerate(found)]


def _part(comparison: Comparison, rules: Sequence[RuleRow], number: str, one_of_several: bool) -> Part:
    ranks, groups = rank(comparison), subgroups(comparison.cells)
    own = {cell.pair for cell in comparison.cells}
    return Part(
        title=comparison.title if one_of_several else "",
        metric=comparison.metric,
        leading=comparison.cells[0].first.leading if comparison.cells else comparison.metric,
        is_classification=comparison.is_classification,
        matrices=matrices(comparison),
        one_at_a_time=len(judged_methods(comparison)) > MATRICES_AT_ONCE,
        forests=forests(comparison),
        ranks=ranks,
        rank_plot=charts.rank_line(ranks.ranks, ranks.difference) if ranks else None,
        figures=figures(comparison),
        cells=cell_table(comparison, f"cells{number}"),
        oracle=cell_table(comparison, f"oracle{number}", oracle=True),
        wide=wide_table(comparison, ranks.ranks if ranks else {}, f"wide{number}"),
        rules=rule_table([row for row in rules if row.pair in own], f"rules{number}"),
        tasks=task_table(comparison.cells, f"tasks{number}"),
        gaps=gap_table(groups, f"gaps{number}"),
        groups=group_table(groups, f"subgroups{number}"),
    )
