"""Comparison of several methods over several data sets by their ranks: Friedman's test and Nemenyi's test.

Follows Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


@dataclass(frozen=True, slots=True)
class Friedman:
    """Result of Friedman's test.

    Attributes:
        statistic: Chi-square with k - 1 degrees of freedom, corrected for ties.
        p: The p of the statistic. It is only a rough approximation for fewer than about ten data sets.
    """

    statistic: float
    p: float


def average_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the average rank of every method; 1 is the best, and tied methods get the mean of their ranks.

    Args:
        scores: Shape (N data sets, k methods), higher is better.

    Returns:
        Shape (k,), each in [1, k].

    Raises:
        ValueError: If `scores` is not a table of finite numbers with at least two methods.
    """
    return stats.rankdata(-_table(scores), axis=1).mean(axis=0)


def friedman_test(scores: ArrayLike) -> Friedman:
    """Test the hypothesis that all methods are equal, by Friedman's test (Friedman 1937).

    Args:
        scores: Shape (N data sets, k methods), k >= 3, higher is better.

    Raises:
        ValueError: If `scores` is not a table of finite numbers with at least three methods.
    """
    table = _table(scores, least=3)
    if (np.ptp(table, axis=1) == 0).all():
        return Friedman(0.0, 1.0)  # scipy divides by zero if all methods tie on every data set
    result = stats.friedmanchisquare(*table.T)
    return Friedman(float(result.statistic), float(result.pvalue))


def nemenyi_critical_difference(methods: int, datasets: int, level: float = 0.05) -> float:
    """Return the critical difference of average ranks, `q sqrt(k (k + 1) / 6 N)` (Demšar, section 3.2.2).

    Two methods differ significantly if their average ranks differ by at least this value.

    Args:
        methods: Number of methods k, at least 2.
        datasets: Number of data sets N, at least 1.
        level: Significance level over all pairs of methods, in (0, 1).

    Raises:
        ValueError: If an argument is out of range.
    """
    if methods < 2 or datasets < 1 or not 0 < level < 1:
        raise ValueError(
            f"methods, datasets, level: {methods}, {datasets}, {level} is invalid; methods >= 2, datasets >= 1 and "
            "0 < level < 1 are needed."
        )
    return float(stats.studentized_range.ppf(1 - level, methods, np.inf) * _range_scale(methods, datasets))


def nemenyi_p_values(scores: ArrayLike) -> NDArray[np.float64]:
    """Return Nemenyi's p for every pair of methods, corrected for the number of pairs (Nemenyi 1963).

    Args:
        scores: Shape (N data sets, k methods), k >= 2, higher is better.

    Returns:
        Shape (k, k), symmetric, with ones on the diagonal.

    Raises:
        ValueError: If `scores` is not a table of finite numbers with at least two methods.
    """
    table = _table(scores)
    datasets, methods = table.shape
    ranks = average_ranks(table)
    first, second = np.triu_indices(methods, k=1)
    distances = np.abs(ranks[first] - ranks[second]) / _range_scale(methods, datasets)
    p = np.ones((methods, methods))
    p[first, second] = p[second, first] = stats.studentized_range.sf(distances, methods, np.inf)
    return p


def _range_scale(methods: int, datasets: int) -> float:
    """Return the standard error of an average rank, in the unit of the studentised range."""
    return (methods * (methods + 1) / (12 * datasets)) ** 0.5


def _table(scores: ArrayLike, least: int = 2) -> NDArray[np.float64]:
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < least:
        raise ValueError(
            f"scores: shape {table.shape} is invalid; (data sets, methods) with at least {least} methods is needed."
        )
    if not np.isfinite(table).all():
        raise ValueError(f"scores: {table[~np.isfinite(table)][0]} is not a finite number; all scores must be.")
    return table
