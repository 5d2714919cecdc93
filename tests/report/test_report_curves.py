"""The curves of a report: which ones are drawn, and means and Student's intervals of their points."""

import itertools

import numpy as np
import pytest
from made_records import made, write
from scipy import stats

from landbridge.report import curves
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.runs import Pair
from landbridge.report.svg import Scale

NOON = Pair("noon", "dusk")


@pytest.fixture
def cells(tmp_path):
    def through(records):
        return compare(collect([write(tmp_path, records)]).runs).cells

    return through


def test_varied_freezing_depths_and_learning_rates_give_curves(cells):
    depths, rates = (0, 2, "all"), (0.0001, 0.001, 0.01)
    rng = np.random.default_rng(0)
    value = {(depth, lr, seed): rng.uniform() for depth in depths for lr in rates for seed in (0, 1, 2)}
    found = curves.axes(
        cells([made("dann", value[d, lr, s], s, freeze__depth=d, optimizer__lr=lr) for d, lr, s in value])
    )
    depth, rate = found
    assert (depth.key, list(depth.ticks.values()), depth.logarithmic) == ("freeze.depth", ["0", "2", "all"], False)
    assert (rate.key, list(rate.ticks), rate.logarithmic) == ("optimizer.lr", list(rates), True)
    curve = next(each for each in depth.curves[NOON] if each.label == "dann optimizer.lr=0.01")
    for point, d in zip(curve.points, depths, strict=True):
        scores = [value[d, 0.01, seed] for seed in (0, 1, 2)]
        low, high = stats.t.interval(0.95, 2, np.mean(scores), stats.sem(scores))
        assert (point.mean, point.low, point.high, point.n) == pytest.approx((np.mean(scores), low, high, 3))


def test_label_efficiency_includes_training_on_the_target_alone(cells):
    records = [made("target_only", 0.1 * n, source=None, target_labels=n) for n in (1, 5)]
    records += [made("fine_tune", 0.2 * n, target_labels=n) for n in (1, 5)]
    (axis,) = curves.axes(cells(records))
    assert axis.key == "target_labels"
    points = {curve.label: [point.mean for point in curve.points] for curve in axis.curves[NOON]}
    assert points == {"fine_tune": [0.2, 1.0], "target_only": pytest.approx([0.1, 0.5])}


def test_constant_settings_and_settings_with_words_give_no_curve(cells):
    scheduler = {"_target_": "landbridge.training.schedules.Cosine"}
    assert curves.axes(cells([made("dann"), made("mcc"), made("dann", scheduler=scheduler)])) == []


def test_time_to_accuracy_is_the_oracle_score_over_cumulative_seconds(cells):
    records = [made("dann", seed=0, oracle=(0.2, 0.4, 0.6)), made("dann", seed=1, oracle=(0.4, 0.6, 0.8))]
    # Further epochs without a training step, which are not part of the curve.
    records[1].epochs += [row | {"losses": {}} for row in records[1].epochs]
    records[0].epochs += [row | {"losses": {}} for row in records[0].epochs]
    (curve,) = curves.over_time(cells(records))[NOON]
    assert [point.x for point in curve.points] == pytest.approx([1.5, 3.0, 4.5])
    assert [point.mean for point in curve.points] == pytest.approx([0.3, 0.5, 0.7])


def test_an_epoch_without_a_finite_score_in_some_run_is_no_point_of_the_curve(cells):
    records = [made(name, seed=seed, oracle=(0.2, 0.4, 0.6)) for name in ("dann", "mcc") for seed in (0, 1)]
    records[0].epochs[1]["scores"]["oracle"] = float("nan")
    for row in records[2].epochs:
        row["scores"]["oracle"] = float("inf")
    # A method without any finite score has no curve.
    (curve,) = curves.over_time(cells(records))[NOON]
    assert [(point.x, point.mean) for point in curve.points] == [(1.5, pytest.approx(0.2)), (4.5, pytest.approx(0.6))]


def test_the_frontier_contains_the_pareto_optimal_methods(cells):
    records = [made("a", 0.5), made("b", 0.7), made("c", 0.6), made("d", 0.4)]
    for record, source in zip(records, (0.9, 0.6, 0.8, 0.85), strict=True):
        record.results["source"]["accuracy"] = source
    best = [trade.cell.method.strategy for trade in curves.frontier(cells(records))[NOON] if trade.best]
    assert best == ["a", "b", "c"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.31, 0.02), (3, 4711), (0.123, 0.124)])
def test_linear_ticks_are_few_evenly_spaced_and_inside_the_limits(low, high):
    ticks = Scale(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)
    assert len({round(b - a, 9) for a, b in itertools.pairwise(ticks)}) <= 1


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-1), (3, 40), (0.9, 2.2)])
def test_logarithmic_ticks_are_few_and_inside_the_limits(low, high):
    ticks = Scale(low, high, 0, 100, logarithmic=True).ticks()
    assert 3 <= len(ticks) <= 8
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)
