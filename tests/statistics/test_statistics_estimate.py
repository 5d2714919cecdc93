"""The estimate of a mean gain against expected mean squares, the balanced analysis of variance, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landbridge.statistics import Gains, estimate
from landbridge.statistics.estimate import covariance_of_seeds, shared_items


@st.composite
def designs(draw):
    """Return gains of a few seeds on items of a pool, each seed with items of its own, as lists."""
    pool, seeds = draw(st.integers(4, 30)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    places = [rng.permutation(pool)[: rng.integers(2, pool + 1)] for _ in range(seeds)]
    effects, shifts = rng.normal(size=pool), rng.normal(size=seeds)
    return [effects[own] + shift + rng.normal(size=own.size) for own, shift in zip(places, shifts, strict=True)], places


def table(seeds=6, items=40, shift=0.3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(seeds, 1)) * shift + rng.normal(size=items) + rng.normal(size=(seeds, items)) + 0.5


def test_on_full_data_the_variance_is_that_of_the_balanced_analysis_of_variance():
    gains = table(shift=1)  # so that no bound is reached
    (seeds, items), mean = gains.shape, gains.mean()
    rows, columns = gains.mean(axis=1), gains.mean(axis=0)
    by_seed = items * ((rows - mean) ** 2).sum() / (seeds - 1)
    by_item = seeds * ((columns - mean) ** 2).sum() / (items - 1)
    rest = ((gains - rows[:, None] - columns + mean) ** 2).sum() / ((seeds - 1) * (items - 1))
    found = estimate(Gains.of_items(gains))
    assert found.mean == pytest.approx(mean)
    assert found.over_seeds == pytest.approx(by_seed / (seeds * items))
    assert found.error**2 == pytest.approx((by_seed + by_item - rest) / (seeds * items))


def test_naming_the_items_of_full_data_changes_nothing():
    gains = table()
    named = Gains.of_items(gains, [np.arange(gains.shape[1])] * len(gains))
    assert estimate(named) == estimate(Gains.of_items(gains))


@pytest.mark.parametrize("sizes", [(5, 5, 5), (3, 6, 4, 2), (6, 6)])
def test_without_bounds_the_variance_has_no_bias_whatever_items_the_seeds_share(sizes):
    rng = np.random.default_rng(len(sizes))
    places = [rng.permutation(8)[:size] for size in sizes]
    seeds, items = np.repeat(np.arange(len(sizes)), sizes), np.concatenate(places)

    def variance(values):
        means = np.bincount(seeds, values) / sizes
        shared = shared_items(seeds, items)
        return means.var(ddof=1) / len(sizes) + covariance_of_seeds(
            values - means[seeds], items, np.array(sizes), shared
        )

    # The estimate is a quadratic form. Its matrix follows from its values at unit vectors and their sums, and its
    # expected value is the trace of the matrix times the covariance of the gains.
    unit = np.eye(len(seeds))
    single = np.array([variance(row) for row in unit])
    form = (np.array([[variance(a + b) for b in unit] for a in unit]) - single[:, None] - single) / 2
    weights = 1 / (len(sizes) * np.array(sizes)[seeds])
    same = [np.equal.outer(seeds, seeds).astype(float), np.equal.outer(items, items).astype(float), unit]
    for parts in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 2, 3)):
        covariance = sum(part * each for part, each in zip(parts, same, strict=True))
        assert np.trace(form @ covariance) == pytest.approx(weights @ covariance @ weights)


@settings(max_examples=50, deadline=None)
@given(designs(), st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_items_and_the_names_of_items_change_nothing(data, random):
    gains, places = data
    other = list(range(40))
    random.shuffle(other)
    order = [list(range(len(own))) for own in places]
    for each in order:
        random.shuffle(each)
    mixed = [(row[each], np.array(other)[own][each]) for row, own, each in zip(gains, places, order, strict=True)]
    random.shuffle(mixed)
    one = estimate(Gains.of_items(gains, places))
    two = estimate(Gains.of_items([row for row, _ in mixed], [own for _, own in mixed]))
    assert one.mean == pytest.approx(two.mean, abs=1e-12)
    assert (one.error, one.items_df) == pytest.approx((two.error, two.items_df), rel=1e-6)
    assert one.p == pytest.approx(two.p, rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(designs(), st.floats(0.1, 10))
def test_sign_and_unit_change_no_p(data, unit):
    gains, places = data
    one, back, scaled = (estimate(Gains.of_items([row * factor for row in gains], places)) for factor in (1, -1, unit))
    assert (back.mean, back.p) == pytest.approx((-one.mean, one.p))
    assert (scaled.error, scaled.p) == pytest.approx((unit * one.error, one.p), rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(designs(), st.sampled_from([0.8, 0.95, 0.999]))
def test_the_interval_excludes_zero_exactly_if_the_p_is_small(data, level):
    found = estimate(Gains.of_items(*data))
    assert found.interval(level).contains(0) == (found.p > 1 - level)


@given(designs())
def test_the_variance_is_not_below_that_over_seeds_alone_or_items_alone(data):
    gains, places = data
    found = estimate(Gains.of_items(gains, places))
    assert found.error**2 >= np.var([row.mean() for row in gains], ddof=1) / len(gains) * (1 - 1e-9)
    by_item = {}
    for row, own in zip(gains, places, strict=True):
        for value, item in zip(row, own, strict=True):
            by_item[item] = by_item.get(item, 0) + (value - row.mean()) / (len(gains) * row.size)
    alone = sum(each**2 for each in by_item.values()) * len(by_item) / (len(by_item) - 1)
    assert found.error**2 >= alone * (1 - 1e-9)


def test_seeds_without_shared_items_are_independent():
    gains = table(4, 20)
    found = estimate(Gains.of_items(gains, np.arange(80).reshape(4, 20)))
    plain = gains.mean(axis=1)
    assert found.over_seeds == pytest.approx(plain.var(ddof=1) / 4)
    assert found.error**2 >= found.over_seeds


def test_many_seeds_do_not_outweigh_a_small_test_set():
    few, many = estimate(Gains.of_items(table(5))), estimate(Gains.of_items(table(50)))
    items_alone = 1 / 40**0.5
    assert many.error == pytest.approx(items_alone, rel=0.35)
    assert many.error > 0.6 * few.error


def test_without_items_the_variance_is_that_of_nadeau_and_bengio():
    gains = [0.02, 0.05, 0.01, 0.04, 0.03]
    found = estimate(Gains.of_scores(gains, test_ratio=0.25))
    assert found.error**2 == pytest.approx(np.var(gains, ddof=1) * (1 / 5 + 0.25))
    # Both parts have half of the usual degrees of freedom, so that the interval is one of Student's t.
    t = stats.t.ppf(0.975, 2)
    assert found.half_width(0.95) == pytest.approx(t * found.error)


def test_items_without_a_label_are_left_out():
    gains, places = table(3, 10), [np.arange(10)] * 3
    hidden = [np.append(row, np.nan) for row in gains]
    assert estimate(Gains.of_items(hidden)) == estimate(Gains.of_items(gains, places))


def test_a_p_below_the_smallest_one_is_the_smallest_one():
    assert 0 < estimate(Gains.of_items(table(20, 500) / 1e6 + 1)).p <= 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Gains.of_items([]), "0 seeds"),
        (lambda: Gains.of_items([[0.1], []], [[1], []]), "gains of seed 1"),
        (lambda: Gains.of_items([[0.1], [0.1, 0.2]]), "unequal numbers"),
        (lambda: Gains.of_items([[0.1, 0.2]], [[1]]), "one item for every gain"),
        (lambda: Gains.of_items([[0.1, 0.2]], [[1, 1]]), "once"),
        (lambda: Gains.of_items([[0.1, 0.2]], [[-1, 1]]), "at least 0"),
        (lambda: Gains.of_items([[0.1, float("inf")]]), "inf is not a finite"),
        (lambda: Gains.of_scores([]), "gains"),
        (lambda: Gains.of_scores([0.1], test_ratio=-1), "negative"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
