"""Verdicts on gains with results computed by hand, on partial sweeps, and false alarms without any effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from landbridge.statistics import (
    Budget,
    holm,
    judge,
    judge_all,
    seeds_needed,
    sign_flip_test,
    studentised_bootstrap,
    t_interval,
)

GOOD = [0.021, 0.034, 0.013, 0.030, 0.018, 0.027]
TWO_WAYS = [0.02, -0.03, 0.01, -0.01, 0.02, -0.02]
cells = st.lists(st.lists(st.integers(-20, 20), min_size=1, max_size=10), min_size=1, max_size=6)


def test_six_gains_of_equal_sign_decide_one_pair():
    judgement = judge(GOOD, reference="scratch")
    assert judgement.verdict == "helps"
    assert judgement.p == judgement.adjusted_p == 2 / 2**6
    assert judgement.gain == pytest.approx(np.mean(GOOD))
    assert judgement.interval == t_interval(GOOD)
    assert not judgement.too_few_seeds
    assert judge([-gain for gain in GOOD], reference="scratch").verdict == "harms"


def test_three_seeds_are_undecided_even_for_a_large_gain():
    judgement = judge([0.30, 0.31, 0.32], reference="scratch")
    assert judgement.interval is not None
    assert judgement.interval.low > 0
    assert judgement.verdict == "undecided"
    assert judgement.too_few_seeds
    assert judgement.reason == "3 seeds cannot reach p <= 0.05 (6 are needed)"


def test_one_seed_has_no_interval():
    judgement = judge([0.5], reference="source_only", pairs=4)
    assert (judgement.interval, judgement.p, judgement.verdict) == (None, 1, "undecided")
    assert judgement.reason == "1 seed cannot reach p <= 0.05 over 4 pairs (8 are needed)"


def test_identical_runs_are_undecided_with_p_1():
    judgement = judge([0.0] * 8, reference="scratch")
    assert (judgement.verdict, judgement.p) == ("undecided", 1)
    assert "contains 0" in judgement.reason


def test_an_interval_around_0_is_undecided():
    judgement = judge(TWO_WAYS, reference="scratch")
    assert judgement.verdict == "undecided"
    assert "contains 0" in judgement.reason


def test_an_interval_that_excludes_0_is_not_sufficient():
    # A larger sum is reached only by flipping the one small loss. So p is 2 / 128, and .0625 after correction for 4
    # pairs.
    gains = [0.05, 0.06, 0.05, 0.06, 0.05, 0.06, 0.03, -0.02]
    assert sign_flip_test(gains) == 4 / 256
    alone, among_four = judge(gains, reference="scratch"), judge(gains, reference="scratch", pairs=4)
    assert alone.verdict == "helps"
    assert among_four.verdict == "undecided"
    assert not among_four.too_few_seeds
    assert "excludes 0, but p = 0.0625 over 4 pairs is above 0.05" in among_four.reason


def test_a_small_p_is_not_sufficient():
    # All signs are equal, so p is the smallest possible one. But one outlier makes the t interval wide.
    judgement = judge([0.001, 0.001, 0.002, 0.001, 0.001, 0.3], reference="scratch")
    assert judgement.adjusted_p <= 0.05
    assert judgement.verdict == "undecided"


def test_holms_correction_is_over_all_pairs():
    gains = {("a", "t"): GOOD, ("b", "t"): [*GOOD, 0.02, 0.03], ("c", "t"): TWO_WAYS}
    judgements = judge_all(gains, reference="scratch")
    expected = holm([sign_flip_test(values) for values in gains.values()])
    assert list(judgements) == list(gains)
    assert [judgement.adjusted_p for judgement in judgements.values()] == pytest.approx(expected)
    # Eight seeds of equal sign pass Holm's first step (.0078 x 3). Six seeds then fail the second step (.03125 x 2).
    assert [judgement.verdict for judgement in judgements.values()] == ["undecided", "helps", "undecided"]
    assert judgements["a", "t"].too_few_seeds


def test_too_few_seeds_for_two_pairs_can_decide_if_the_other_pair_is_decided():
    judgements = judge_all({"long": GOOD + GOOD[:4], "short": GOOD}, reference="scratch")
    assert [judgement.verdict for judgement in judgements.values()] == ["helps", "helps"]
    assert not judgements["short"].too_few_seeds
    assert judge(GOOD, reference="scratch", pairs=2).too_few_seeds


def test_declared_pairs_without_runs_are_corrected_for():
    assert judge_all({"a": GOOD}, reference="scratch")["a"].verdict == "helps"
    partial = judge_all({"a": GOOD}, reference="scratch", pairs=2)["a"]
    assert (partial.verdict, partial.adjusted_p, partial.pairs) == ("undecided", 2 * 2 / 2**6, 2)
    assert judge_all({}, reference="scratch") == {}


@given(cells)
def test_the_opposite_sign_gives_the_opposite_verdict(table):
    opposite = {"helps": "harms", "harms": "helps", "undecided": "undecided"}
    forth = judge_all(dict(enumerate(table)), reference="scratch")
    back = judge_all({i: [-gain for gain in row] for i, row in enumerate(table)}, reference="scratch")
    for i in forth:
        assert back[i].verdict == opposite[forth[i].verdict]
        assert (back[i].p, back[i].too_few_seeds) == (forth[i].p, forth[i].too_few_seeds)


@given(cells)
def test_a_verdict_requires_exactly_the_interval_and_the_adjusted_p(table):
    for judgement in judge_all(dict(enumerate(table)), reference="scratch").values():
        decided = (
            judgement.interval is not None and not judgement.interval.contains(0) and judgement.adjusted_p <= 1 - 0.95
        )
        assert (judgement.verdict != "undecided") == decided
        if decided:
            assert (judgement.verdict == "helps") == (judgement.gain > 0)
            assert not judgement.too_few_seeds
        if judgement.too_few_seeds:
            assert judgement.seeds < seeds_needed(judgement.pairs)


def test_the_level_applies_to_interval_and_p():
    strict = judge(GOOD, reference="scratch", level=0.99)
    assert strict.verdict == "undecided"
    assert strict.reason == "6 seeds cannot reach p <= 0.01 (8 are needed)"
    assert strict.interval == t_interval(GOOD, level=0.99)


def test_another_interval_can_be_given():
    assert judge(GOOD, reference="scratch", interval=studentised_bootstrap).interval == studentised_bootstrap(GOOD)


def test_unequal_budgets_are_flagged_and_change_no_verdict():
    tuned, untuned = Budget(trials=8, steps=500), Budget(trials=1, steps=500)
    unequal = judge(GOOD, reference="scratch", budget=tuned, reference_budget=untuned)
    assert unequal.budget_mismatch is True
    assert unequal.verdict == "helps"
    assert judge(GOOD, reference="scratch", budget=tuned, reference_budget=Budget(8, 500)).budget_mismatch is False
    assert judge(GOOD, reference="scratch", budget=tuned).budget_mismatch is None


@pytest.mark.parametrize("seeds", [8, 10])
def test_false_alarms_stay_within_the_level_when_no_source_has_an_effect(seeds):
    pairs, runs = 6, 1000
    gains = np.random.default_rng(seeds).normal(0, 0.05, size=(runs, pairs, seeds))
    # All pairs share the seeds, so that the gains are correlated as in a real table.
    gains += np.random.default_rng(seeds + 1).normal(0, 0.03, size=(runs, 1, seeds))
    alarms = uncorrected = 0
    for table in gains:
        judgements = judge_all(dict(enumerate(table)), reference="scratch").values()
        alarms += any(judgement.verdict != "undecided" for judgement in judgements)
        uncorrected += any(not judgement.interval.contains(0) for judgement in judgements if judgement.interval)
    bound = stats.binom.ppf(0.999, runs, 0.05)
    assert 0 < alarms <= bound
    assert uncorrected > 2 * bound  # without the corrected p, intervals alone would give too many false verdicts


def test_a_real_effect_is_found():
    gains = np.random.default_rng(0).normal(0.05, 0.02, size=(200, 10))
    assert np.mean([judge(row, reference="scratch", pairs=6).verdict == "helps" for row in gains]) > 0.9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: judge_all({"mnist -> usps": []}, reference="scratch"), "gains of mnist -> usps"),
        (lambda: judge([0.1, float("nan")], reference="scratch"), "nan is not a finite"),
        (lambda: judge_all({1: GOOD, 2: GOOD}, reference="scratch", pairs=1), "1 declared"),
        (lambda: judge(GOOD, reference="scratch", level=1.0), "level: 1.0"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
