"""Comparison of selection rules: the epoch each rule would have picked from the stored scores, and its regret.

The oracle score is the leading metric on the target's validation split, such as accuracy. The labels of that split were
read only after training. Regret is measured on labels that chose no epoch: the oracle picks the best epoch on one half
of the split, and its pick is compared with the rule's pick on the other half. The regret is the mean over both ways.
The best score of many epochs is partly luck, so its distance from the rule's pick on the same labels would be positive
even if all epochs were equal.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from landbridge.record import best_epoch
from landbridge.report.cells import Cell
from landbridge.report.metrics import Metric
from landbridge.report.runs import Pair, Run
from landbridge.statistics import Interval, t_interval

ORACLE, LAST, TARGET_VAL = "oracle", "last", "target_val"


@dataclass
class RuleRow:
    """Results of one selection rule on one pair.

    Attributes:
        rule: its name.
        pair: source and target.
        metric: the leading metric of the target's task, which the oracle scores.
        runs: number of runs that stored its scores.
        regrets: by seed, the regret of picking an epoch within a run, mean over runs. Negative if the rule picks better
            epochs than half of the labels do. Empty if no run has scores on both halves, as in records of older
            versions.
        correlation: mean over runs of the Spearman correlation with the oracle over the epochs of a run; None if
            it is undefined in every run, for example because the scores are constant.
        pool_regret: regret of picking one epoch from the pool of all epochs of all runs with the same seed, mean over
            seeds; None for `last`, which cannot compare runs, and None if no seed has two runs.
        pool_correlation: mean over seeds of the Spearman correlation with the oracle over that pool.
        pool_pick: the method that it picks from the pool in most seeds, and the number of these seeds.
    """

    rule: str
    pair: Pair
    metric: Metric
    runs: int
    regrets: Mapping[int, float]
    correlation: float | None
    pool_regret: float | None = None
    pool_correlation: float | None = None
    pool_pick: str = ""

    @property
    def regret(self) -> float | None:
        """Mean of `regrets`; None if there are none."""
        return float(np.mean(list(self.regrets.values()))) if self.regrets else None

    @property
    def interval(self) -> Interval | None:
        """Student's t interval of `regret` over seeds alone; None for a single seed.

        Records hold the scores of epochs and not those of single validation items. If all seeds share a validation
        split, the interval is about this split.
        """
        return t_interval(list(self.regrets.values())) if len(self.regrets) > 1 else None


@dataclass(frozen=True)
class _Scored:
    """The scores of one rule and of the oracle for all epochs of a run.

    Attributes:
        run: the run.
        rule: scores of the rule (epochs,).
        oracle: scores of the oracle (epochs,).
        rule_halves: scores by which the rule picks on each half (2, epochs). They are twice the same for a rule that
            reads no target labels.
        oracle_halves: scores of the oracle on each half (2, epochs); None if the record lacks them.
    """

    run: Run
    rule: NDArray[np.float64]
    oracle: NDArray[np.float64]
    rule_halves: NDArray[np.float64]
    oracle_halves: NDArray[np.float64] | None


def held_out_regret(rule: NDArray[np.float64], oracle: NDArray[np.float64]) -> float:
    """Return how much better the oracle's pick by one half of the labels is than the rule's pick, on the other half.

    Args:
        rule: scores of the rule by the labels of each half (2, epochs).
        oracle: scores of the oracle by the labels of each half (2, epochs).

    Returns:
        The mean over both ways. Its expectation is 0 if all epochs are equally good.
    """
    regrets = [oracle[1 - half][best_epoch(oracle[half])] - oracle[1 - half][best_epoch(rule[half])] for half in (0, 1)]
    return float(np.mean(regrets))


def rule_rows(cells: Iterable[Cell]) -> list[RuleRow]:
    """Return the results of every rule on every pair, over the runs of transferring methods."""
    by_pair: dict[Pair, list[Run]] = defaultdict(list)
    for cell in cells:
        if cell.pair.source and not cell.oracle:
            by_pair[cell.pair] += [run for run in cell.runs.values() if len(run.record.epochs) > 1]
    rows = []
    for pair, runs in by_pair.items():
        scored: dict[str, list[_Scored]] = defaultdict(list)
        for name, each in (found for run in runs for found in _scored(run)):
            scored[name].append(each)
        rows += [_row(name, pair, own) for name, own in scored.items()]
    unknown = float("inf")
    return sorted(rows, key=lambda row: (str(row.pair), unknown if row.regret is None else row.regret))


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation; None if a side is constant or fewer than three pairs of values are finite."""
    finite = np.isfinite(one) & np.isfinite(other)
    one, other = one[finite], other[finite]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _scored(run: Run) -> Iterator[tuple[str, _Scored]]:
    """Yield each rule that scored every epoch of a run; none if the oracle is undefined, as R2 is on one sample."""
    epochs = run.record.epochs
    names = [name for name in epochs[0]["scores"] if all(name in row["scores"] for row in epochs)]
    scores = {name: np.array([row["scores"][name] for row in epochs], dtype=float) for name in names}
    if not np.isfinite(oracle := scores.pop(ORACLE, np.array([np.nan]))).all():
        return
    oracle_halves = _halves(run, ORACLE)
    for name, own in scores.items():
        halves = _halves(run, name) if name == TARGET_VAL else np.stack([own, own])
        yield (
            name,
            _Scored(run, own, oracle, own if halves is None else halves, None if halves is None else oracle_halves),
        )


def _halves(run: Run, name: str) -> NDArray[np.float64] | None:
    """Return the scores of each epoch on both halves (2, epochs); None if one of them is missing or undefined."""
    rows = [row.get("halves", {}).get(name) for row in run.record.epochs]
    if not all(rows) or not np.isfinite(halves := np.array(rows, dtype=float).T).all():
        return None
    return halves


def _row(rule: str, pair: Pair, runs: list[_Scored]) -> RuleRow:
    by_seed: dict[int, list[_Scored]] = defaultdict(list)
    halved: dict[int, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = defaultdict(list)
    for each in runs:
        by_seed[each.run.seed].append(each)
        if each.oracle_halves is not None:
            halved[each.run.seed].append((each.rule_halves, each.oracle_halves))
    regrets = {seed: float(np.mean([held_out_regret(*both) for both in row])) for seed, row in halved.items()}
    within = _mean([spearman(each.rule, each.oracle) for each in runs])
    found = RuleRow(rule, pair, runs[0].run.leading, len(runs), regrets, within)
    if rule == LAST or max(map(len, by_seed.values())) < 2:
        return found
    pools = [
        held_out_regret(*(np.concatenate(scores, axis=1) for scores in zip(*row, strict=True)))
        for row in halved.values()
    ]
    picks, correlations = Counter(), []
    for row in by_seed.values():
        scores = np.concatenate([each.rule for each in row])
        owners = [str(each.run.method) for each in row for _ in each.rule]
        picks[owners[best_epoch(scores)]] += 1
        correlations.append(spearman(scores, np.concatenate([each.oracle for each in row])))
    (name, times), *_ = picks.most_common(1)
    found.pool_regret, found.pool_correlation = _mean(pools), _mean(correlations)
    found.pool_pick = f"{name} ({times} of {len(by_seed)})"
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
