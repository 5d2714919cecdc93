"""Picks, regret and correlation of selection rules, against values worked by hand and against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_records import made, write
from scipy import stats

from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.rules import held_out_regret, rule_rows, spearman


@given(arrays(float, st.tuples(st.just(2), st.integers(3, 12)), elements=st.integers(-4, 4)))
def test_the_rank_correlation_equals_that_of_scipy(pair):
    if np.ptp(pair[0]) == 0 or np.ptp(pair[1]) == 0:
        assert spearman(*pair) is None
    else:
        assert spearman(*pair) == pytest.approx(stats.spearmanr(*pair).statistic)


def test_regret_within_a_run_and_over_all_checkpoints(tmp_path):
    # For dann, the rule picks epoch 0 (score 9): oracle .4, best .6. For mcc, it picks epoch 1: oracle .8, the best.
    records = [
        made("dann", oracle=(0.4, 0.6, 0.5), rules={"im": [9, 1, 2]}),
        made("mcc", oracle=(0.1, 0.8, 0.2), rules={"im": [1, 5, 3]}),
    ]
    rows = {row.rule: row for row in rule_rows(compare(collect([write(tmp_path, records)]).runs).cells)}
    im, last = rows["im"], rows["last"]
    assert im.regret == pytest.approx((0.2 + 0.0) / 2)
    assert last.regret == pytest.approx((0.1 + 0.6) / 2)
    assert im.correlation == pytest.approx((-1 + 1) / 2)
    assert im.pool_regret == pytest.approx(0.8 - 0.4)
    assert im.pool_pick == "dann (1 of 1)"
    assert im.pool_correlation == pytest.approx(
        stats.spearmanr([9, 1, 2, 1, 5, 3], [0.4, 0.6, 0.5, 0.1, 0.8, 0.2]).statistic
    )
    assert last.pool_regret is None
    assert im.interval is None
    assert "oracle" not in rows


def test_a_rule_is_judged_on_the_runs_that_stored_its_scores(tmp_path):
    records = [made("dann", rules={"source_val": [1, 2, 3]}), made("mcc"), made("mcc", seed=1)]
    rows = {row.rule: row for row in rule_rows(compare(collect([write(tmp_path, records)]).runs).cells)}
    assert (rows["source_val"].runs, rows["last"].runs, len(rows["last"].regrets)) == (1, 3, 2)


def test_the_regret_of_a_blind_rule_is_0_on_average_if_all_epochs_are_equally_good():
    # 20 epochs of accuracy .8 on 100 validation samples. A rule that knows nothing cannot be wrong.
    rng = np.random.default_rng(0)
    draws = 2000
    halves = rng.binomial(50, 0.8, size=(draws, 2, 20)) / 50
    rule = rng.normal(size=(draws, 1, 20)).repeat(2, axis=1)
    honest = np.array([held_out_regret(*both) for both in zip(rule, halves, strict=True)])
    assert abs(honest.mean()) < 3 * honest.std() / np.sqrt(draws) < 0.01
    whole = halves.mean(axis=1)
    of_the_maximum = whole.max(axis=1) - whole[np.arange(draws), rule[:, 0].argmax(axis=1)]
    assert of_the_maximum.mean() > 0.06  # six points of regret, where there is nothing to choose


def test_the_regret_of_a_blind_rule_is_that_of_a_random_pick_if_epochs_differ():
    rng = np.random.default_rng(1)
    accuracy = np.linspace(0.5, 0.9, 5)
    halves = rng.binomial(20_000, accuracy, size=(1000, 2, 5)) / 20_000  # so many samples that the best is found
    rule = rng.normal(size=(1000, 1, 5)).repeat(2, axis=1)
    regrets = [held_out_regret(*both) for both in zip(rule, halves, strict=True)]
    assert np.mean(regrets) == pytest.approx(0.2, abs=0.02)


def test_visible_labels_pick_on_one_half_and_are_judged_on_the_other(tmp_path):
    # `target_val` sees all labels. It picks as the oracle does, so it has no regret. On its own half it would gain.
    record = made("dann", oracle=(0.5, 0.5, 0.5), rules={"target_val": [0.5, 0.5, 0.5]})
    for row, halves in zip(record.epochs, ([0.9, 0.1], [0.1, 0.9], [0.5, 0.5]), strict=True):
        row["halves"] = {"oracle": halves, "target_val": halves}
    rows = {row.rule: row for row in rule_rows(compare(collect([write(tmp_path, [record])]).runs).cells)}
    assert rows["target_val"].regret == 0
    assert rows["last"].regret == pytest.approx(0.1 - 0.5)


def test_a_record_without_scores_on_halves_has_no_regret(tmp_path):
    record = made("dann", rules={"im": [9, 1, 2]})
    for row in record.epochs:
        del row["halves"]
    (last, im) = rule_rows(compare(collect([write(tmp_path, [record])]).runs).cells)
    assert (last.regret, im.regret, im.interval, im.runs) == (None, None, None, 1)
    assert im.correlation is not None
