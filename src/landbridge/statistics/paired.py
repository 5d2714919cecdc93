"""Exact tests for paired differences, Holm's correction, and how many seeds they need."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landbridge.statistics.intervals import as_sample

_ENUMERABLE = 20  # 2^19 sums of signs take a few milliseconds


def sign_flip_test(differences: ArrayLike, draws: int = 100_000, seed: int = 0) -> float:
    """Two-sided p of the sign-flip permutation test for a mean of zero (Fisher 1935).

    If the source changes nothing, every paired difference is as likely to carry the other sign. The p is the share of
    all 2^n sign patterns whose sum is at least as far from zero as the observed one: exact up to 20 differences, and
    beyond that from random patterns, where the observed one is counted too (Phipson & Smyth 2010, arXiv:1603.05766).

    Args:
        differences: One paired difference per seed, shape (n,), n >= 1.
        draws: Number of random patterns beyond 20 differences.
        seed: Seed of the random patterns.

    Returns:
        p in (0, 1]; 1 if all differences are zero.

    Raises:
        ValueError: If there is no difference, or one is not finite.
    """
    sample = as_sample(differences)
    # Patterns that tie with the observed one must count in spite of rounding.
    threshold = abs(sample.sum()) - 1e-9 * np.abs(sample).sum()
    if sample.size > _ENUMERABLE:
        signs = np.random.default_rng(seed).integers(2, size=(draws, sample.size), dtype=np.int8) * 2 - 1
        return float((1 + np.count_nonzero(np.abs(signs @ sample) >= threshold)) / (1 + draws))
    sums = sample[:1]  # the opposite first sign gives the mirror image
    for difference in sample[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= threshold))


def smallest_possible_p(n: int) -> float:
    """The smallest two-sided sign-flip p that n paired differences can give, 2 / 2^n.

    Raises:
        ValueError: If `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n: {n} paired differences have no p; at least 1 is needed.")
    return 2.0 ** (1 - n)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment (Holm 1979): the family-wise error rate holds under any dependence.

    Args:
        p_values: One p per hypothesis, shape (m,), each in [0, 1].

    Returns:
        Adjusted p, shape (m,), in the same order.

    Raises:
        ValueError: If a p is outside [0, 1].
    """
    p = as_sample(p_values, least=0, name="p_values")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p_values: {p[(p < 0) | (p > 1)][0]} is not between 0 and 1.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1)
    return adjusted


def seeds_needed(pairs: int, level: float = 0.05) -> int:
    """The smallest number of paired seeds with which one of `pairs` pairs can be significant under Holm.

    It is the smallest n with 2^n >= 2 * pairs / level. At .05: 6 for one pair, 7 for up to 3, 8 for 6, 9 for 12 and 10
    for 25.

    Args:
        pairs: Number of declared pairs, at least 1.
        level: Significance level, in (0, 1).

    Raises:
        ValueError: If `pairs` is below 1 or `level` out of range.
    """
    if pairs < 1 or not 0 < level < 1:
        raise ValueError(f"pairs, level: {pairs}, {level}; pairs >= 1 and 0 < level < 1 are needed.")
    n = 1
    while pairs * smallest_possible_p(n) > level:
        n += 1
    return n
