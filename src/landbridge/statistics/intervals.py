"""Confidence intervals of a mean over few seeds, and of a share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Lower limit.
        high: Upper limit.
        level: Nominal coverage, in (0, 1).
        method: Name of the method that computed the interval.
    """

    low: float
    high: float
    level: float
    method: str

    def contains(self, value: float) -> bool:
        """Return whether `value` is inside the interval, limits included."""
        return self.low <= value <= self.high


def as_sample(values: ArrayLike, least: int = 1, name: str = "differences") -> NDArray[np.float64]:
    """Return the values as a one-dimensional array of finite floats.

    Args:
        values: Numbers, shape (n,).
        least: Smallest n that is valid for the caller.
        name: Name of the numbers in error messages.

    Raises:
        ValueError: If there are fewer than `least` values, another shape, or a value that is not finite.
    """
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or sample.size < least:
        raise ValueError(f"{name}: shape {sample.shape} is invalid; give one list of at least {least} number(s).")
    if not np.isfinite(sample).all():
        raise ValueError(f"{name}: {sample[~np.isfinite(sample)][0]} is not a finite number; all values must be.")
    return sample


def t_interval(differences: ArrayLike, level: float = 0.95) -> Interval:
    """Compute Student's t interval for the mean.

    Args:
        differences: One paired difference per seed, shape (n,), n >= 2.
        level: Nominal coverage, in (0, 1).

    Raises:
        ValueError: If fewer than two differences are given, or `level` is out of range.
    """
    sample = as_sample(differences, least=2)
    half = stats.t.ppf(1 - _tail(level), sample.size - 1) * stats.sem(sample)
    return Interval(float(sample.mean() - half), float(sample.mean() + half), level, "Student's t over seeds")


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Compute Wilson's score interval for a share (Wilson 1927).

    Args:
        successes: Number of successes, 0 to n.
        n: Number of trials, at least 1.
        level: Nominal coverage, in (0, 1).

    Raises:
        ValueError: If `n` is below 1, `successes` outside 0 to n, or `level` out of range.
    """
    _tail(level)
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"successes: {successes} of {n} is invalid; 0 <= successes <= n and n >= 1 are needed.")
    limits = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return Interval(float(limits.low), float(limits.high), level, "Wilson score")


def _tail(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not a confidence level; give a number between 0 and 1.")
    return (1 - level) / 2
