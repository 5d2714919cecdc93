"""Ranks against the worked example and the table of critical values in Demšar (2006)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from landbridge.statistics import average_ranks, friedman_test, nemenyi_critical_difference, nemenyi_p_values

# AUC of C4.5 with default, -m, -cf and both parameters tuned, on 14 data sets (Demšar 2006, table 6). The paper gives
# different ranks to the two values .975 in the second row from the end, because it ranks before rounding. Here a fourth
# digit makes them different.
DEMSAR = [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975],
    [0.957, 0.978, 0.946, 0.970],
]


def test_average_ranks_of_the_worked_example():
    assert average_ranks(DEMSAR) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)


def test_friedman_of_the_worked_example():
    ranks, n, k = average_ranks(DEMSAR), 14, 4
    plain = 12 * n / (k * (k + 1)) * (np.sum(ranks**2) - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=0.01)  # the paper's value, without correction for ties
    # There is one row with four equal scores, and three rows with two equal scores.
    tied = 1 - ((4**3 - 4) + 3 * (2**3 - 2)) / (n * (k**3 - k))
    result = friedman_test(DEMSAR)
    assert result.statistic == pytest.approx(plain / tied)
    assert result.p == pytest.approx(stats.chi2.sf(plain / tied, 3))


@pytest.mark.parametrize(
    ("methods", "at_05", "at_10"),
    [(2, 1.960, 1.645), (3, 2.343, 2.052), (4, 2.569, 2.291), (5, 2.728, 2.459), (10, 3.164, 2.920)],
)
def test_critical_differences_use_the_published_values(methods, at_05, at_10):
    unit = np.sqrt(methods * (methods + 1) / (6 * 14))
    assert nemenyi_critical_difference(methods, 14) == pytest.approx(at_05 * unit, abs=1.1e-3 * unit)
    assert nemenyi_critical_difference(methods, 14, level=0.10) == pytest.approx(at_10 * unit, abs=1.1e-3 * unit)


def test_nemenyi_of_two_methods_is_the_normal_test_of_their_ranks():
    scores = np.array([[0.8, 0.7]] * 9 + [[0.6, 0.7]] * 3)
    # Average ranks 1.25 and 1.75; the standard error of their difference is sqrt(2 * 3 / (6 * 12)).
    expected = 2 * stats.norm.sf(0.5 / np.sqrt(1 / 12))
    assert nemenyi_p_values(scores)[0, 1] == pytest.approx(expected, rel=1e-6)


def test_nemenyi_p_is_the_level_exactly_at_the_critical_difference():
    ranks = average_ranks(DEMSAR)
    p = nemenyi_p_values(DEMSAR)
    for i, j in [(0, 1), (0, 3), (1, 2)]:
        assert nemenyi_critical_difference(4, 14, level=p[i, j]) == pytest.approx(abs(ranks[i] - ranks[j]), rel=1e-5)
    assert (p == p.T).all()
    assert (np.diag(p) == 1).all()


@given(arrays(float, st.tuples(st.integers(1, 8), st.integers(3, 6)), elements=st.sampled_from([0.1, 0.5, 0.9])))
def test_ranks_have_a_fixed_sum_and_depend_only_on_the_order(scores):
    ranks = average_ranks(scores)
    k = scores.shape[1]
    assert ranks.sum() == pytest.approx(k * (k + 1) / 2)
    assert average_ranks(scores**3) == pytest.approx(ranks)
    assert average_ranks(-scores) == pytest.approx(k + 1 - ranks)
    assert 0 <= friedman_test(scores).p <= 1


def test_methods_that_always_tie_do_not_differ():
    result = friedman_test(np.full((5, 3), 0.7))
    assert (result.statistic, result.p) == (0, 1)
    assert nemenyi_p_values(np.full((5, 3), 0.7)) == pytest.approx(np.ones((3, 3)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: average_ranks([0.1, 0.2]), "shape"),
        (lambda: friedman_test([[0.1, 0.2]]), "at least 3"),
        (lambda: nemenyi_p_values([[0.1, float("nan")]]), "nan is not a finite"),
        (lambda: nemenyi_critical_difference(1, 5), "1, 5"),
        (lambda: nemenyi_critical_difference(3, 0), "3, 0"),
        (lambda: nemenyi_critical_difference(3, 5, level=5), "3, 5, 5"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
