"""Holm against its definition, and the excess of the best against simulation and known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.statistics import excess_of_the_best, holm

shares = st.lists(st.floats(0, 1), min_size=1, max_size=12)


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


@pytest.mark.parametrize(("methods", "errors"), [(1, 0), (2, np.pi**-0.5), (3, 1.5 * np.pi**-0.5), (10, 1.53875)])
def test_the_excess_of_the_best_is_the_expected_largest_normal_number(methods, errors):
    assert excess_of_the_best([0.02] * methods) == pytest.approx(0.02 * errors, rel=1e-4, abs=1e-12)


def test_a_shared_reference_makes_the_excess_smaller():
    rng = np.random.default_rng(0)
    gains = rng.normal(size=(20_000, 10)) + rng.normal(size=(20_000, 1))
    assert 0 < gains.max(axis=1).mean() < excess_of_the_best([2**0.5] * 10)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: holm([0.1, 1.2]), r"1\.2 is not between"),
        (lambda: holm([0.1, float("nan")]), "p_values: nan"),
        (lambda: excess_of_the_best([]), "errors"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
