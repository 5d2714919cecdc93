"""Many comparisons at once: Holm's correction, and how much the best of them owes to being the best."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, stats

from landbridge.statistics.intervals import as_sample


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values by Holm's step-down method (Holm 1979).

    The adjustment controls the family-wise error rate under any dependence of the p values.

    Args:
        p_values: One p per hypothesis, shape (m,), each in [0, 1].

    Returns:
        Adjusted p values, shape (m,), in the same order.

    Raises:
        ValueError: If a p is outside [0, 1].
    """
    p = as_sample(p_values, least=0, name="p_values")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p_values: {p[(p < 0) | (p > 1)][0]} is not between 0 and 1; every p must be.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1)
    return adjusted


def excess_of_the_best(errors: ArrayLike) -> float:
    r"""Return how far the largest of k gains lies above their common mean if no method differs from another.

    This is the expected maximum of k independent standard normal numbers, times the root of the mean squared standard
    error: $E_k \sqrt{\overline{\mathrm{se}^2}}$ (David & Nagaraja, 2003, section 3.1). It is .56 standard errors for
    two methods, 1.54 for ten and 1.87 for twenty. Gains over one reference have a part of their error in common, which
    no choice among them can exploit, so the number is an upper bound for them.

    Args:
        errors: Standard error of each gain, shape (k,), k >= 1.

    Raises:
        ValueError: If there is no error, or one is not finite.
    """
    sample = as_sample(errors, name="errors")
    if (k := sample.size) == 1:
        return 0.0

    def density(x: float) -> float:
        return float(k * x * stats.norm.pdf(x) * stats.norm.cdf(x) ** (k - 1))

    expected: float = integrate.quad(density, -8, 8)[0]
    return expected * float(np.sqrt(np.mean(sample**2)))
