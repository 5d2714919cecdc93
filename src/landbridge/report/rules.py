"""Selection rules side by side: what each would have picked from the scores of every epoch, and what that costs.

The oracle is accuracy on the target's validation split, whose labels were opened after training. Regret is the
oracle's best value minus its value at what a rule picks, a share of 1.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from landbridge.record import best_epoch
from landbridge.report.cells import Cell
from landbridge.report.runs import Pair, Run
from landbridge.statistics import Interval, t_interval

ORACLE, LAST = "oracle", "last"


@dataclass
class RuleRow:
    """How one rule does on one pair.

    Attributes:
        rule: its name.
        pair: source and target.
        runs: how many runs stored its scores.
        regrets: by seed, the mean over runs, of picking an epoch within a run.
        correlation: mean Spearman correlation with the oracle over the epochs of a run; None where it is constant.
        pool_regret: mean over seeds, of picking one among all epochs of all runs; None for `last`, which cannot.
        pool_correlation: mean Spearman correlation over that pool.
        pool_pick: the method it picks there in most seeds, and in how many.
    """

    rule: str
    pair: Pair
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
    """Judge every rule on every pair, over the runs of methods that transfer."""
    by_pair: dict[Pair, list[Run]] = defaultdict(list)
    for cell in cells:
        if cell.pair.source and not cell.oracle:
            by_pair[cell.pair] += [run for run in cell.runs.values() if len(run.record.epochs) > 1]
    rows = []
    for pair, runs in by_pair.items():
        tables = [(run, table) for run in runs if (table := _scores(run)) and ORACLE in table]
        names = dict.fromkeys(name for _, table in tables for name in table if name != ORACLE)
        rows += [_row(name, pair, [(run, t[name], t[ORACLE]) for run, t in tables if name in t]) for name in names]
    return sorted(rows, key=lambda row: (str(row.pair), row.regret))


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation, None where either side is constant or fewer than three values are finite."""
    finite = np.isfinite(one) & np.isfinite(other)
    one, other = one[finite], other[finite]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _scores(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return the scores (epochs,) of every rule that scored every epoch."""
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
    found = RuleRow(rule, pair, len(runs), regrets, within)
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
