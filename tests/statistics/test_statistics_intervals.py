"""Intervals against closed forms, full enumeration and simulated coverage."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landbridge.statistics import (
    hierarchical_bootstrap,
    seeds_to_exclude_zero,
    studentised_bootstrap,
    t_interval,
    wilson_interval,
)

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


def test_seeds_to_exclude_zero_by_hand():
    # Mean 2, standard deviation 1: t(.975, n - 1) / sqrt(n) is 2.48 for 3 seeds and 1.59 for 4.
    assert seeds_to_exclude_zero([1, 2, 3]) == 4
    assert seeds_to_exclude_zero([-1, -2, -3]) == 4
    assert seeds_to_exclude_zero([1, 2, 3], most=3) is None
    assert seeds_to_exclude_zero([-1, 0, 1]) is None
    assert seeds_to_exclude_zero([1, 1]) == 2


@given(samples, st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_with_this_number_of_seeds_excludes_zero_and_with_fewer_does_not(values, level):
    n = seeds_to_exclude_zero(values, level, most=40)

    def excludes(seeds):
        # A sample of this size with the mean and the standard deviation of `values`.
        standard = np.arange(seeds) - (seeds - 1) / 2
        alike = np.mean(values) + standard * np.std(values, ddof=1) / standard.std(ddof=1)
        interval = t_interval(alike, level)
        return interval.low > 1e-12 or interval.high < -1e-12

    assert n is None or excludes(n)
    assert not any(excludes(seeds) for seeds in range(2, n or 41))


def test_new_seeds_exclude_zero_in_half_the_cases_and_twice_as_many_in_four_fifths():
    n = seeds_to_exclude_zero(0.5 + np.array([-1, 0, 1]))
    for seeds, odds in ((n, 0.5), (2 * n, 0.8)):
        rows = np.random.default_rng(0).normal(0.5, 1, size=(4000, seeds))
        assert np.mean(stats.ttest_1samp(rows, 0, axis=1).pvalue <= 0.05) == pytest.approx(odds, abs=0.05)


@pytest.mark.parametrize("n", [6, 10])
def test_studentised_bootstrap_has_its_nominal_coverage_and_the_percentile_one_does_not(n):
    rows = np.random.default_rng(n).normal(0.3, 1, size=(1200, n))
    studentised = np.mean([studentised_bootstrap(row, draws=999).contains(0.3) for row in rows])
    percentile = np.mean([hierarchical_bootstrap(row[:, None], draws=999).contains(0.3) for row in rows])
    assert 0.92 <= studentised <= 0.97
    assert percentile < 0.92


def test_studentised_bootstrap_equals_full_enumeration():
    values = np.array(GAINS)
    resamples = np.array(list(itertools.product(values, repeat=values.size)))
    spread = resamples.std(axis=1, ddof=1)
    shift = resamples.mean(axis=1) - values.mean()
    real = spread > 1e-12
    pivots = np.where(real, shift / np.where(real, spread, 1), np.copysign(np.inf, shift))
    low, high = np.quantile(pivots, [0.025, 0.975], method="inverted_cdf") * values.std(ddof=1)
    interval = studentised_bootstrap(GAINS, draws=200_000)
    expected = (values.mean() - high, values.mean() - low)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.02 * (high - low))


def test_studentised_bootstrap_is_infinite_for_few_seeds_and_a_point_for_equal_values():
    for few in ([0.01, 0.02], [0.1, 0.2, 0.7]):  # by rounding, three times .1 has a standard deviation of 1e-17
        interval = studentised_bootstrap(few)
        assert (interval.low, interval.high) == (-np.inf, np.inf)
    equal = studentised_bootstrap([0.1] * 6)
    assert (equal.low, equal.high) == pytest.approx((0.1, 0.1))


def test_hierarchical_bootstrap_of_constant_seeds_resamples_the_seeds():
    means = [0.0, 0.1, 0.4, 0.5]
    enumerated = np.mean(list(itertools.product(means, repeat=4)), axis=1)
    interval = hierarchical_bootstrap([[mean] * 7 for mean in means], level=0.8)
    expected = np.quantile(enumerated, [0.1, 0.9])
    assert [interval.low, interval.high] == pytest.approx(expected, abs=0.026)  # the means are multiples of .025


def test_hierarchical_bootstrap_of_one_seed_resamples_the_items():
    items = np.repeat([-1, 0, 1], [30, 200, 130])
    interval = hierarchical_bootstrap([items])
    error = items.std() / np.sqrt(items.size)
    assert (interval.low, interval.high) == pytest.approx(
        (items.mean() - 1.96 * error, items.mean() + 1.96 * error), abs=0.1 * error
    )


@pytest.mark.parametrize("shared", [True, False])
def test_hierarchical_bootstrap_of_real_values_has_the_standard_error_of_a_mean(shared):
    items = np.random.default_rng(0).gumbel(size=400)
    interval = hierarchical_bootstrap([items], draws=20_000, shared_items=shared)
    half = stats.norm.ppf(0.975) * items.std() / len(items) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((items.mean() - half, items.mean() + half), abs=0.05 * half)


def test_hierarchical_bootstrap_of_real_values_equals_that_of_their_signs_for_values_of_correctness():
    signs = np.random.default_rng(0).integers(-1, 2, size=(4, 300))
    # A tiny change makes the values real: items are then drawn one by one.
    real = signs + np.random.default_rng(1).normal(scale=1e-9, size=signs.shape)
    for shared in (True, False):
        one, two = (hierarchical_bootstrap(each, draws=20_000, shared_items=shared) for each in (signs, real))
        assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=0.004)


def test_hierarchical_bootstrap_equals_drawing_items_one_by_one():
    generator = np.random.default_rng(5)
    seeds = [generator.normal(shift, 1, size=items) for shift, items in [(0.0, 40), (0.3, 15), (0.8, 25)]]
    draws = 4000
    means = np.empty(draws)
    for k in range(draws):
        chosen = generator.integers(3, size=3)
        means[k] = np.mean([generator.choice(seeds[i], seeds[i].size).mean() for i in chosen])
    low, high = np.quantile(means, [0.025, 0.975])
    interval = hierarchical_bootstrap(seeds)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.06 * (high - low))


def test_shared_items_widen_the_interval():
    items = np.random.default_rng(0).choice([-1, 0, 1], size=360, p=[0.1, 0.7, 0.2])
    table = np.tile(items, (9, 1))
    own, shared = hierarchical_bootstrap(table), hierarchical_bootstrap(table, shared_items=True)
    assert width(shared) / width(own) == pytest.approx(3, rel=0.05)  # the square root of 9 seeds
    assert width(shared) == pytest.approx(width(hierarchical_bootstrap([items])), rel=0.05)


def test_shared_items_keep_the_spread_between_seeds():
    table = np.repeat([[0.0], [0.1], [0.4], [0.5]], 7, axis=1)
    own, shared = hierarchical_bootstrap(table, level=0.8), hierarchical_bootstrap(table, level=0.8, shared_items=True)
    assert (own.low, own.high) == pytest.approx((shared.low, shared.high))


def test_large_continuous_items_are_drawn_in_blocks():
    rows = np.random.default_rng(1).normal(size=(2, 5000))
    interval = hierarchical_bootstrap(rows, draws=1000)
    spread = np.sqrt((rows.mean(axis=1).var() + (rows.var(axis=1) / 5000).mean()) / 2)
    assert width(interval) == pytest.approx(2 * 1.96 * spread, rel=0.15)


@pytest.mark.parametrize(
    "bootstrap", [studentised_bootstrap, lambda x, seed: hierarchical_bootstrap([x, x], seed=seed)]
)
def test_bootstraps_are_deterministic_given_their_seed(bootstrap):
    assert bootstrap(GAINS, seed=3) == bootstrap(GAINS, seed=3)
    assert bootstrap(GAINS, seed=3) != bootstrap(GAINS, seed=4)


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
    for method in (t_interval, lambda x, level: studentised_bootstrap(x, level, draws=500)):
        narrow, wide = method(values, 0.8), method(values, 0.95)
        assert wide.low <= narrow.low <= narrow.high <= wide.high


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: t_interval([0.1]), "at least 2"),
        (lambda: t_interval([[0.1, 0.2]]), "shape"),
        (lambda: t_interval([0.1, float("nan")]), "nan is not a finite"),
        (lambda: t_interval([0.1, 0.2], level=95), "level: 95"),
        (lambda: studentised_bootstrap([0.1]), "at least 2"),
        (lambda: hierarchical_bootstrap([]), "no seed"),
        (lambda: hierarchical_bootstrap([[0.1], []]), "seed 1"),
        (lambda: hierarchical_bootstrap([[0.1], [0.1, 0.2]], shared_items=True), "cannot share"),
        (lambda: wilson_interval(3, 2), "3 of 2"),
        (lambda: wilson_interval(0, 0), "0 of 0"),
        (lambda: wilson_interval(1, 2, level=0), "level: 0"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
