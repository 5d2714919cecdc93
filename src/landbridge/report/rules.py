"""Comparison of selection rules: the epoch each rule would have picked from the stored scores, and its regret.

The oracle score is the leading metric on the target's validation split, such as accuracy. The labels of that split were
read only after training. Regret is the best oracle score minus the oracle score of the rule's pick.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from landbridge.record import best_epoch
from landbridge.report.cells import Cell
from landbridge.report.metrics import Metric
from landbridge.report.runs import Pair, Run
from landbridge.statistics import Interval, t_interval

ORACLE, LAST = "oracle", "last"


@dataclass
class RuleRow:
    """Results of one selection rule on one pair.

    Attributes:
        rule: its name.
        pair: source and target.
        metric: the leading metric of the target's task, which the oracle scores.
        runs: number of runs that stored its scores.
        regrets: by seed, the regret of picking an epoch within a run, mean over runs.
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
    def regret(self) -> float:
        """Mean of `regrets`."""
        return float(np.mean(list(self.regrets.values())))

    @property
    def interval(self) -> Interval | None:
        """Interval of `regret` over seeds; None for a single seed."""
        return t_interval(list(self.regrets.values())) if len(self.regrets) > 1 else None


def rule_rows(cells: Iterable[Cell]) -> list[RuleRow]:
    """Return the results of every rule on every pair, over the runs of transferring methods."""
    by_pair: dict[Pair, list[Run]] = defaultdict(list)
    for cell in cells:
        if cell.pair.source and not cell.oracle:
            by_pair[cell.pair] += [run for run in cell.runs.values() if len(run.record.epochs) > 1]
    rows = []
    for pair, runs in by_pair.items():
        # The oracle's score may be undefined, such as R2 on one sample. Then there is no regret.
        tables = [(run, table) for run in runs if np.isfinite((table := _scores(run)).get(ORACLE, np.nan)).all()]
        names = dict.fromkeys(name for _, table in tables for name in table if name != ORACLE)
        rows += [_row(name, pair, [(run, t[name], t[ORACLE]) for run, t in tables if name in t]) for name in names]
    return sorted(rows, key=lambda row: (str(row.pair), row.regret))


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation; None if a side is constant or fewer than three pairs of values are finite."""
    finite = np.isfinite(one) & np.isfinite(other)
    one, other = one[finite], other[finite]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _scores(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return the scores, shape (epochs,), of each rule that scored every epoch of a run."""
    epochs = run.record.epochs
    names = [name for name in epochs[0]["scores"] if all(name in row["scores"] for row in epochs)]
    return {name: np.array([row["scores"][name] for row in epochs], dtype=float) for name in names}


def _row(rule: str, pair: Pair, runs: list[tuple[Run, NDArray[np.float64], NDArray[np.float64]]]) -> RuleRow:
    by_seed: dict[int, list[tuple[Run, NDArray[np.float64], NDArray[np.float64]]]] = defaultdict(list)
    for each in runs:
        by_seed[each[0].seed].append(each)

    def regret(scores: NDArray[np.float64], oracle: NDArray[np.float64]) -> float:
        return float(oracle.max() - oracle[best_epoch(scores)])

    regrets = {
        seed: float(np.mean([regret(scores, oracle) for _, scores, oracle in row])) for seed, row in by_seed.items()
    }
    within = _mean([spearman(scores, oracle) for _, scores, oracle in runs])
    found = RuleRow(rule, pair, runs[0][0].leading, len(runs), regrets, within)
    if rule == LAST or max(map(len, by_seed.values())) < 2:
        return found
    picks, pool_regrets, correlations = Counter(), [], []
    for row in by_seed.values():
        scores = np.concatenate([own for _, own, _ in row])
        oracle = np.concatenate([own for _, _, own in row])
        owners = [str(run.method) for run, own, _ in row for _ in own]
        picks[owners[best_epoch(scores)]] += 1
        pool_regrets.append(regret(scores, oracle))
        correlations.append(spearman(scores, oracle))
    (name, times), *_ = picks.most_common(1)
    found.pool_regret, found.pool_correlation = float(np.mean(pool_regrets)), _mean(correlations)
    found.pool_pick = f"{name} ({times} of {len(by_seed)})"
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
