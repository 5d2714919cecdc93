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
from landbridge.report.rules import rule_rows, spearman


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
