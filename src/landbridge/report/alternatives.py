"""Search the results for better alternatives: values beyond the end of an axis, other selection rules, cheaper methods.

Each search uses differences that are paired by seed, over at least `LEAST_SEEDS` seeds, and their interval at 95 %. For
test results this is the interval of a verdict, over seeds and test items. For regrets of selection rules it is
Student's t over seeds alone, because records hold the scores of epochs and not those of single validation items.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from landbridge.report.cells import Cell
from landbridge.report.compare import differences
from landbridge.report.curves import number
from landbridge.report.gains import gain_over
from landbridge.report.rules import RuleRow
from landbridge.report.runs import Method, Pair
from landbridge.statistics import Interval, t_interval

#: Least number of seeds. With fewer seeds the standard deviation is too uncertain.
LEAST_SEEDS = 3
#: A method is expensive if it takes at least this many times the seconds of another method.
DEAR = 3
#: Least mean Spearman correlation with the oracle for a selection rule to be recommended.
CORRELATED = 0.5
#: Settings that advice may extend to further values.
AXES = ("optimizer.lr", "freeze.depth")


class End(NamedTuple):
    """A curve that is best at one of its ends.

    Attributes:
        step: how much better the mean score at the end is than that at the neighbouring value.
        interval: interval of `step`.
        key: the setting.
        upwards: whether the end is the highest value of the axis.
        cell: the cell at the end.
        inner: the cell at the neighbouring value.
        beyond: the next value outwards, as text for an override.
        curves: number of curves over the setting.
    """

    step: float
    interval: Interval
    key: str
    upwards: bool
    cell: Cell
    inner: Cell
    beyond: str
    curves: int


def open_ends(cells: Iterable[Cell]) -> list[End]:
    """Return the curves that are significantly better at one end than beside it, if the axis can be extended there."""
    curves: dict[tuple[str, Pair, Method], dict[float, Cell]] = defaultdict(dict)
    for cell in cells:
        for key, value in cell.method.variant:
            if key in AXES and (place := number(key, value)) is not None:
                curves[key, cell.pair, cell.method.without(key)][place] = cell
    curves = {key: curve for key, curve in curves.items() if len(curve) > 1}
    number_of = Counter(key for key, _, _ in curves)
    found = []
    for (key, _, _), curve in curves.items():
        order = sorted(curve)
        best = max(order, key=lambda place: curve[place].merit)
        if best not in (order[0], order[-1]):
            continue
        upwards = best == order[-1]
        inner = order[-2] if upwards else order[1]
        step, interval = _ahead(curve[best], curve[inner])
        beyond = _beyond(key, best, inner)
        if beyond and interval and interval.low > 0:
            found.append(End(step, interval, key, upwards, curve[best], curve[inner], beyond, number_of[key]))
    return found


def _beyond(key: str, best: float, inner: float) -> str:
    """Return the next value outwards as text; return "" if there is none.

    Learning rates continue with the same ratio. Freezing depths continue with `0` or `all`.

    Example:
        `_beyond("optimizer.lr", 0.01, 0.001)` returns `"0.1"`.
    """
    if key == "freeze.depth":
        ends = (0.0, float("inf"))
        return "" if best in ends else "all" if best > inner else "0"
    return f"{best * best / inner:g}" if best > 0 and inner > 0 else ""


class BetterRule(NamedTuple):
    """A selection rule that would have picked better epochs than the current rule, measured by the oracle score.

    Attributes:
        saved: mean regret of the current rule minus mean regret of this rule, in the leading metric.
        name: name of the better rule.
        correlation: mean Spearman correlation of the better rule with the oracle within a run.
        used: name of the current rule.
        regret: mean regret of the current rule.
    """

    saved: float
    name: str
    correlation: float
    used: str
    regret: float


def better_rule(cells: Iterable[Cell], rows: Sequence[RuleRow]) -> BetterRule | None:
    """Return the rule that reduces the regret most, if the reduction is significant; else None.

    The t intervals are corrected by Bonferroni for the number of other rules.
    """
    used = Counter(cell.first.record.selection.get("rule") for cell in cells if cell.pair.source)
    by_rule: dict[str, dict[Pair, RuleRow]] = defaultdict(dict)
    for row in rows:
        by_rule[row.rule][row.pair] = row
    rule = used.most_common(1)[0][0] if used else None
    if rule not in by_rule:
        return None
    mine = by_rule.pop(rule)
    known = [row.regret for row in mine.values() if row.regret is not None]
    if len(known) < len(mine):
        return None
    regret = float(np.mean(known))
    small = next(iter(mine.values())).metric.small(regret)
    better = []
    for name, own in by_rule.items():
        # Rules with scores from different sets of runs cannot be compared.
        if {pair: row.runs for pair, row in own.items()} != {pair: row.runs for pair, row in mine.items()}:
            continue
        # A run has no regret under `target_val` if half of its validation split shows no label.
        seeds = sorted(set.intersection(*(set(row.regrets) for row in (*own.values(), *mine.values()))))
        correlations = [row.correlation for row in own.values() if row.correlation is not None]
        if len(seeds) < LEAST_SEEDS or not correlations or np.mean(correlations) < CORRELATED:
            continue
        saved = [np.mean([mine[pair].regrets[seed] - own[pair].regrets[seed] for pair in own]) for seed in seeds]
        if np.mean(saved) >= small and t_interval(saved, 1 - 0.05 / len(by_rule)).low > 0:
            better.append(BetterRule(float(np.mean(saved)), name, float(np.mean(correlations)), rule, regret))
    return max(better, default=None)


class Cheaper(NamedTuple):
    """A cheap cell that is almost as good as the best cell of the pair.

    Attributes:
        times: seconds of the best cell divided by seconds of the cheap cell.
        cell: the cheap cell.
        dear: the best cell, with the best mean score on the pair.
        gap: how much better the mean score of the best cell is than that of the cheap cell.
        interval: interval of `gap`.
    """

    times: float
    cell: Cell
    dear: Cell
    gap: float
    interval: Interval


def cheaper(row: Sequence[Cell]) -> Cheaper | None:
    """Return the cheapest cell that is almost as good as the best cell of a pair; None if there is none.

    The best cell must take at least `DEAR` times the seconds. The interval of its lead must lie below a small
    difference, see `Metric.small`.
    """
    dear = max(row, key=lambda cell: cell.merit)
    small = dear.metric.small(dear.mean)
    found = []
    for cell in row:
        cost, own = dear.median_cost("seconds"), cell.median_cost("seconds")
        if not cost or not own or cost < DEAR * own or differences(dear, cell):
            continue
        gap, interval = _ahead(dear, cell)
        if interval and interval.high < small:
            found.append(Cheaper(cost / own, cell, dear, gap, interval))
    return max(found, key=lambda each: each.times, default=None)


def _ahead(one: Cell, other: Cell) -> tuple[float, Interval | None]:
    """Return the mean difference of two cells over shared seeds, and its interval; nan and None with too few seeds."""
    gain = gain_over(one, other)
    return (gain.mean, gain.interval()) if gain and gain.seeds >= LEAST_SEEDS else (np.nan, None)
