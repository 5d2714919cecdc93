"""Exact tests for paired differences, Holm's correction, and the number of seeds that both need."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landbridge.statistics.intervals import as_sample

_ENUMERABLE = 20  # 2^19 sums of signs take a few milliseconds


def sign_flip_test(differences: ArrayLike, draws: int = 100_000, seed: int = 0) -> float:
    """Return the two-sided p of the sign-flip permutation test for a mean of zero (Fisher 1935).

    If the source has no effect, both signs of every paired difference are equally likely. The p is the share of all
    2^n sign patterns whose sum is at least as far from zero as the observed sum. It is exact for up to 20 differences.
    For more differences, random patterns are drawn and the observed pattern is added (Phipson & Smyth 2010,
    arXiv:1603.05766).

    Args:
        differences: One paired difference per seed, shape (n,), n >= 1.
        draws: Number of random patterns, if there are more than 20 differences.
        seed: Seed of the random patterns.

    Returns:
        p in (0, 1]; 1 if all differences are zero.

    Raises:
        ValueError: If there is no difference, or one is not finite.
    """
    sample = as_sample(differences)
    # The tolerance counts patterns with the same sum as the observed one in spite of rounding.
    threshold = abs(sample.sum()) - 1e-9 * np.abs(sample).sum()
    if sample.size > _ENUMERABLE:
        signs = np.random.default_rng(seed).integers(2, size=(draws, sample.size), dtype=np.int8) * 2 - 1
        return float((1 + np.count_nonzero(np.abs(signs @ sample) >= threshold)) / (1 + draws))
    sums = sample[:1]  # the first sign is fixed: the other one only negates all sums
    for difference in sample[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= threshold))


def smallest_possible_p(n: int) -> float:
    """Return the smallest two-sided sign-flip p that n paired differences can give, 2 / 2^n.

    Raises:
        ValueError: If `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n: {n} paired differences cannot be tested; at least 1 is needed.")
    return 2.0 ** (1 - n)


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


def seeds_needed(pairs: int, level: float = 0.05) -> int:
    """Return the smallest number of paired seeds with which one of `pairs` pairs can be significant under Holm.

    The number is the smallest n with 2^n >= 2 * pairs / level. At level .05, it is 6 for one pair, 7 for up to 3
    pairs, 8 for up to 6, 9 for up to 12 and 10 for up to 25.

    Args:
        pairs: Number of declared pairs, at least 1.
        level: Significance level, in (0, 1).

    Raises:
        ValueError: If `pairs` is below 1 or `level` out of range.
    """
    if pairs < 1 or not 0 < level < 1:
        raise ValueError(f"pairs, level: {pairs}, {level} is invalid; pairs >= 1 and 0 < level < 1 are needed.")
    n = 1
    while pairs * smallest_possible_p(n) > level:
        n += 1
    return n
