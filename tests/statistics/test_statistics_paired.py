"""The sign-flip test against enumeration and scipy, Holm against its definition, and seed counts against a table."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from landbridge.statistics import holm, seeds_needed, sign_flip_test, smallest_possible_p

shares = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def enumerated_p(values):
    patterns = np.array(list(itertools.product([-1, 1], repeat=len(values))))
    return np.mean(np.abs(patterns @ values) >= abs(sum(values)) - 1e-9)


def test_sign_flip_by_hand():
    # The absolute sums of 1, 2, 3 with all signs are 6, 4, 2, 0, 0, 2, 4, 6. The observed sum of (-1, 2, 3) is 4; four
    # of the eight sums are at least 4.
    assert sign_flip_test([-1, 2, 3]) == 0.5
    assert sign_flip_test([1, 2, 3]) == 0.25
    assert sign_flip_test([0, 0, 0]) == 1


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
def test_sign_flip_equals_full_enumeration(values):
    assert sign_flip_test(values) == enumerated_p(values)


def test_sign_flip_equals_scipys_permutation_test():
    values = np.random.default_rng(2).normal(0.4, 1, size=9)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=2**9, vectorized=True)
    assert sign_flip_test(values) == pytest.approx(expected.pvalue)


def test_ties_are_counted_in_spite_of_rounding():
    # .1 + .2 and .3 differ by rounding. Without a tolerance, four of the eight patterns would not count.
    assert sign_flip_test([0.1, 0.2, -0.3]) == 1
    accuracies = np.array([0.71, 0.68, 0.75, 0.70, 0.73, 0.69])
    assert sign_flip_test(accuracies - (accuracies - 0.01)) == 2 / 2**6


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=10), st.randoms())
def test_sign_flip_ignores_order_direction_and_unit(values, random):
    p = sign_flip_test(values)
    shuffled = random.sample(values, len(values))
    assert sign_flip_test(shuffled) == pytest.approx(p)
    assert sign_flip_test([-100 * value for value in values]) == pytest.approx(p)
    assert smallest_possible_p(len(values)) <= p <= 1


@pytest.mark.parametrize("n", [1, 5, 6, 10, 20])
def test_the_smallest_p_is_reached_if_all_signs_are_equal(n):
    assert sign_flip_test(np.arange(1, n + 1)) == smallest_possible_p(n) == 2 / 2**n


def test_the_random_p_of_more_than_twenty_differences_is_near_the_exact_one_and_never_zero():
    # With differences of +-1, the number of positive signs has a binomial distribution.
    values = np.repeat([1, -1], [17, 8])
    exact = stats.binomtest(17, 25).pvalue
    p = sign_flip_test(values)
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 100_000))
    assert sign_flip_test(values) == p != sign_flip_test(values, seed=1)
    assert sign_flip_test(np.arange(1, 41), draws=999) == 1 / 1000


def test_sign_flip_keeps_its_level_under_a_symmetric_null():
    rows = np.random.default_rng(7).standard_t(2, size=(2000, 8))
    alarms = sum(sign_flip_test(row) <= 0.05 for row in rows)
    # 12 of the 256 patterns are significant, which is .047.
    assert stats.binom.ppf(0.001, 2000, 12 / 256) <= alarms <= stats.binom.ppf(0.999, 2000, 12 / 256)


def test_holm_by_hand():
    # Sorted p: .005 .01 .03 .04. Multiplied by 4 3 2 1: .02 .03 .06 .04. Running maximum: .02 .03 .06 .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).size == 0


@given(shares, st.floats(0.001, 0.999))
def test_holm_rejects_the_same_hypotheses_as_the_step_down_procedure(p_values, level):
    rejected = set()
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] * (len(p_values) - rank) > level:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p_values) <= level)) == rejected


@given(shares)
def test_holm_is_between_the_raw_p_and_bonferroni(p_values):
    adjusted = holm(p_values)
    bonferroni = np.minimum(np.array(p_values) * len(p_values), 1)
    assert (adjusted >= p_values).all()
    assert (adjusted <= bonferroni).all()
    assert adjusted.min() == bonferroni.min()


@pytest.mark.parametrize(("most", "seeds"), [(1, 6), (3, 7), (6, 8), (12, 9), (25, 10)])
def test_seeds_needed_has_the_known_steps(most, seeds):
    assert seeds_needed(most) == seeds
    assert seeds_needed(most + 1) == seeds + 1


@given(st.integers(1, 10_000), st.floats(0.0001, 0.5))
def test_seeds_needed_is_enough_and_not_one_more(pairs, level):
    n = seeds_needed(pairs, level)
    assert 2**n >= 2 * pairs / level * (1 - 1e-12)
    assert 2 ** (n - 1) <= 2 * pairs / level * (1 + 1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sign_flip_test([]), "at least 1"),
        (lambda: sign_flip_test([0.1, float("inf")]), "inf is not a finite"),
        (lambda: smallest_possible_p(0), "n: 0"),
        (lambda: holm([0.1, 1.2]), r"1\.2 is not between"),
        (lambda: holm([0.1, float("nan")]), "p_values: nan"),
        (lambda: seeds_needed(0), "0, 0.05"),
        (lambda: seeds_needed(1, level=0), "1, 0"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
