"""Intervals against closed forms and simulated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landbridge.statistics import t_interval, wilson_interval

GAINS = [0.021, -0.004, 0.013, 0.030, 0.008, 0.017]
samples = st.lists(st.integers(-1000, 1000).map(lambda points: points / 1000), min_size=2, max_size=12)


def width(interval):
    return interval.high - interval.low


def test_t_interval_by_hand():
    # mean 3, standard deviation sqrt(2.5), t(.975, 4) = 2.776445
    interval = t_interval([1, 2, 3, 4, 5])
    assert (interval.low, interval.high) == pytest.approx((3 - 1.963243, 3 + 1.963243), abs=1e-5)
    assert interval.level == 0.95


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_t_interval_is_scipys_one_sample_interval(level):
    expected = stats.ttest_1samp(GAINS, 0).confidence_interval(level)
    interval = t_interval(GAINS, level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


@given(samples, st.floats(0.1, 10), st.floats(-5, 5))
def test_t_interval_follows_scale_and_shift(values, scale, shift):
    before, after = t_interval(values), t_interval(scale * np.array(values) + shift)
    expected = (scale * before.low + shift, scale * before.high + shift)
    assert (after.low, after.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [6, 10])
def test_t_interval_has_its_nominal_coverage(n):
    rows = np.random.default_rng(n).normal(0.3, 1, size=(5000, n))
    # The tolerance of 1 percentage point is more than 3 standard errors of the simulation.
    assert 0.93 <= np.mean([t_interval(row).contains(0.3) for row in rows]) <= 0.97


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_wilson_limits_equal_the_closed_form(counts, level):
    successes, n = counts
    interval = wilson_interval(successes, n, level)
    z, share = stats.norm.ppf((1 + level) / 2), successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert -1e-12 <= interval.low <= share + 1e-12
    assert share - 1e-12 <= interval.high <= 1 + 1e-12


@settings(max_examples=30)
@given(samples)
def test_a_higher_level_gives_a_wider_interval(values):
    narrow, wide = t_interval(values, 0.8), t_interval(values, 0.95)
    assert wide.low <= narrow.low <= narrow.high <= wide.high


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: t_interval([0.1]), "at least 2"),
        (lambda: t_interval([[0.1, 0.2]]), "shape"),
        (lambda: t_interval([0.1, float("nan")]), "nan is not a finite"),
        (lambda: t_interval([0.1, 0.2], level=95), "level: 95"),
        (lambda: wilson_interval(3, 2), "3 of 2"),
        (lambda: wilson_interval(0, 0), "0 of 0"),
        (lambda: wilson_interval(1, 2, level=0), "level: 0"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
