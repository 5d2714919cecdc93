"""What may do better than what was run: beyond the end of an axis, by another selection rule, or for less.

Each is found by differences that are paired by seed, over `LEAST_SEEDS` seeds or more, and their t interval at 95 %.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from landbridge.report.cells import Cell
from landbridge.report.compare import differences
from landbridge.report.curves import number
from landbridge.report.rules import RuleRow
from landbridge.report.runs import Method, Pair
from landbridge.statistics import Interval, t_interval

#: From fewer seeds nobody knows a spread.
LEAST_SEEDS = 3
#: A share of 1, one point: less is no reason to take another selection rule, or a dearer method.
SMALL = 0.01
#: How many times the seconds of another method make one dear.
DEAR = 3
#: The least mean Spearman correlation with the oracle of a selection rule that is advised.
CORRELATED = 0.5
#: Settings whose axis can be widened.
AXES = ("optimizer.lr", "freeze.depth")


class End(NamedTuple):
    """A curve that is highest at one of its ends.

    Attributes:
        step: by how much on the average the end is above the value beside it, a share of 1.
        interval: of `step`.
        key: the setting.
        upwards: whether it is the axis' highest value.
        cell: at the end.
        inner: the cell beside it.
        beyond: the next value outwards, as it is typed.
        curves: how many curves there are over the setting.
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
    """Return curves whose end is surely above the value beside it, where the axis can go on."""
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
        best = max(order, key=lambda place: curve[place].mean)
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
    """Return a learning rate as many times further, or the furthest depth; nothing where there is no further."""
    if key == "freeze.depth":
        ends = (0.0, float("inf"))
        return "" if best in ends else "all" if best > inner else "0"
    return f"{best * best / inner:g}" if best > 0 and inner > 0 else ""


class BetterRule(NamedTuple):
    """A selection rule that would have picked better epochs than the one in use. The ORACLE judges.

    Attributes:
        saved: by how much its mean regret is smaller, a share of 1.
        name: of the rule.
        correlation: mean Spearman correlation with the oracle within a run.
        used: the rule in use.
        regret: mean regret of that one.
    """

    saved: float
    name: str
    correlation: float
    used: str
    regret: float


def better_rule(cells: Iterable[Cell], rows: Sequence[RuleRow]) -> BetterRule | None:
    """Return the rule that saves most regret, where that is sure; intervals are Bonferroni's over all other rules."""
    used = Counter(cell.first.record.selection.get("rule") for cell in cells if cell.pair.source)
    by_rule: dict[str, dict[Pair, RuleRow]] = defaultdict(dict)
    for row in rows:
        by_rule[row.rule][row.pair] = row
    rule = used.most_common(1)[0][0] if used else None
    if rule not in by_rule:
        return None
    mine = by_rule.pop(rule)
    regret = float(np.mean([row.regret for row in mine.values()]))
    better = []
    for name, own in by_rule.items():
        # A rule that was judged on other runs cannot be compared.
        if {pair: row.runs for pair, row in own.items()} != {pair: row.runs for pair, row in mine.items()}:
            continue
        seeds = sorted(set.intersection(*(set(row.regrets) for row in own.values())))
        correlations = [row.correlation for row in own.values() if row.correlation is not None]
        if len(seeds) < LEAST_SEEDS or not correlations or np.mean(correlations) < CORRELATED:
            continue
        saved = [np.mean([mine[pair].regrets[seed] - own[pair].regrets[seed] for pair in own]) for seed in seeds]
        if np.mean(saved) >= SMALL and t_interval(saved, 1 - 0.05 / len(by_rule)).low > 0:
            better.append(BetterRule(float(np.mean(saved)), name, float(np.mean(correlations)), rule, regret))
    return max(better, default=None)


class Cheaper(NamedTuple):
    """A cell that takes a fraction of the time of the one with the highest mean, which is hardly above it.

    Attributes:
        times: how many times more seconds the dear one takes.
        cell: the cheap one.
        dear: the one with the highest mean on the pair.
        gap: mean score of the dear one minus the cheap one's.
        interval: of `gap`.
    """

    times: float
    cell: Cell
    dear: Cell
    gap: float
    interval: Interval


def cheaper(row: Sequence[Cell]) -> Cheaper | None:
    """Return the cheapest cell of a pair that the highest one is surely less than `SMALL` above, if that is dear."""
    dear = max(row, key=lambda cell: cell.mean)
    found = []
    for cell in row:
        cost, own = dear.median_cost("seconds"), cell.median_cost("seconds")
        if not cost or not own or cost < DEAR * own or differences(dear, cell):
            continue
        gap, interval = _ahead(dear, cell)
        if interval and interval.high < SMALL:
            found.append(Cheaper(cost / own, cell, dear, gap, interval))
    return max(found, key=lambda each: each.times, default=None)


def _ahead(one: Cell, other: Cell) -> tuple[float, Interval | None]:
    """Return how far one cell is ahead of another by shared seed, and the interval; None with too few seeds."""
    seeds = sorted(one.runs.keys() & other.runs.keys())
    if len(seeds) < LEAST_SEEDS:
        return np.nan, None
    values = [one.runs[seed].score - other.runs[seed].score for seed in seeds]
    return float(np.mean(values)), t_interval(values)
