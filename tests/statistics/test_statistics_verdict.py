"""Verdicts on gains: what decides them, their correction over comparisons, and how many seeds they need."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landbridge.statistics import LEAST_SEEDS, Gains, holm, judge, judge_all

GOOD = [0.021, 0.034, 0.023, 0.030, 0.028, 0.027]
TWO_WAYS = [0.02, -0.03, 0.01, -0.01, 0.02, -0.02]
cells = st.lists(st.lists(st.integers(-20, 20), min_size=1, max_size=10), min_size=1, max_size=6)


def t_with_half_the_degrees(gains):
    """Return the p of Student's t with half of its degrees of freedom."""
    t = np.mean(gains) / stats.sem(gains)
    return 2 * stats.t.sf(abs(t), (len(gains) - 1) / 2)


def test_gains_of_seeds_on_one_test_set_are_judged_by_t_with_half_the_degrees_of_freedom():
    judgement = judge(GOOD, reference="scratch")
    assert judgement.p == judgement.adjusted_p == pytest.approx(t_with_half_the_degrees(GOOD))
    half = stats.t.ppf(0.975, 2.5) * stats.sem(GOOD)
    assert (judgement.interval.low, judgement.interval.high) == pytest.approx(
        (np.mean(GOOD) - half, np.mean(GOOD) + half)
    )
    assert judgement.verdict == "helps"
    assert judgement.reason.endswith("on this test set only")
    assert judge([-gain for gain in GOOD], reference="scratch").verdict == "harms"


def one_item(seeds, gain=1, items=359):
    """Return gains of one item of a test set that all seeds share; nothing else differs."""
    return Gains.of_items([[gain] + [0] * (items - 1)] * seeds)


@pytest.mark.parametrize("seeds", [1, 2, 5, 6, 10, 50])
def test_a_constant_gain_of_one_item_is_undecided_for_any_number_of_seeds(seeds):
    judgement = judge(one_item(seeds), reference="scratch")
    assert judgement.gain == pytest.approx(1 / 359)
    assert (judgement.verdict, judgement.seeds_to_decide()) == ("undecided", LEAST_SEEDS if seeds == 1 else None)


def test_many_items_decide_also_if_all_seeds_are_equal():
    gains = np.zeros(359)
    gains[:30] = 1
    assert judge(Gains.of_items([gains] * 5), reference="scratch").verdict == "helps"


def test_one_seed_is_undecided():
    judgement = judge(Gains.of_items([np.ones(500)]), reference="source_only", comparisons=4)
    assert (judgement.interval, judgement.p, judgement.verdict) == (None, 1, "undecided")
    assert judgement.reason == "1 seed is too few (5 are needed)"
    assert judgement.too_few_seeds


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_a_few_seeds_are_undecided_even_for_a_large_gain(seeds):
    judgement = judge(0.3 + np.arange(seeds) / 1000, reference="scratch")
    assert judgement.interval is not None
    assert (judgement.verdict, judgement.too_few_seeds) == ("undecided", True)
    assert judgement.seeds_to_decide() == LEAST_SEEDS


@pytest.mark.parametrize("gains", [[0.0] * 8, Gains.of_items([[0.0] * 9] * 8)])
def test_identical_runs_are_undecided_with_p_1(gains):
    judgement = judge(gains, reference="scratch")
    assert (judgement.verdict, judgement.p, judgement.interval) == ("undecided", 1, None)
    assert judgement.reason == "all gains are 0, so their variance is not known"
    assert judgement.seeds_to_decide() is None


def test_equal_gains_without_items_say_nothing_about_other_items():
    judgement = judge(np.array([0.6, 0.7, 0.8, 0.9, 1.0]) - [0.5, 0.6, 0.7, 0.8, 0.9], reference="scratch")
    assert (judgement.verdict, judgement.p) == ("undecided", 1)
    assert "all gains are 0.1" in judgement.reason


def test_an_interval_around_0_is_undecided():
    judgement = judge(TWO_WAYS, reference="scratch")
    assert judgement.verdict == "undecided"
    assert "contains 0" in judgement.reason


def test_an_interval_that_excludes_0_is_not_sufficient_among_many_comparisons():
    judgement = judge(GOOD, reference="scratch", comparisons=200)
    assert judgement.verdict == "undecided"
    assert f"excludes 0, but p = {judgement.adjusted_p:.3g} over 200 comparisons is above 0.05" in judgement.reason


def test_holms_correction_is_over_all_comparisons():
    gains = {("dann", "t"): GOOD, ("mcc", "t"): [*GOOD, 0.02, 0.03], ("mcc", "u"): TWO_WAYS}
    references = {key: f"reference of {key[0]}" for key in gains}
    judgements = judge_all(gains, references=references)
    expected = holm([t_with_half_the_degrees(values) for values in gains.values()])
    assert list(judgements) == list(gains)
    assert [judgement.adjusted_p for judgement in judgements.values()] == pytest.approx(expected)
    assert [judgement.reference for judgement in judgements.values()] == list(references.values())
    assert {judgement.comparisons for judgement in judgements.values()} == {3}


def test_declared_comparisons_without_runs_are_corrected_for():
    alone, partial = (judge_all({"a": GOOD}, references="scratch", comparisons=n)["a"] for n in (None, 3))
    assert (partial.adjusted_p, partial.comparisons) == (pytest.approx(3 * alone.p), 3)
    assert judge_all({}, references="scratch") == {}


@settings(deadline=None)
@given(cells)
def test_the_opposite_sign_gives_the_opposite_verdict(table):
    opposite = {"helps": "harms", "harms": "helps", "undecided": "undecided"}
    forth = judge_all(dict(enumerate(table)), references="scratch")
    back = judge_all({i: [-gain for gain in row] for i, row in enumerate(table)}, references="scratch")
    for i in forth:
        assert back[i].verdict == opposite[forth[i].verdict]
        assert (back[i].p, back[i].too_few_seeds) == (forth[i].p, forth[i].too_few_seeds)


@settings(deadline=None)
@given(cells)
def test_a_verdict_requires_exactly_the_adjusted_p_and_enough_seeds(table):
    for judgement in judge_all(dict(enumerate(table)), references="scratch").values():
        decided = judgement.adjusted_p <= 1 - 0.95 and not judgement.too_few_seeds
        assert (judgement.verdict != "undecided") == decided
        if decided:
            assert (judgement.verdict == "helps") == (judgement.gain > 0)
            assert not judgement.interval.contains(0)


def test_the_level_applies_to_interval_and_p():
    strict = judge(GOOD, reference="scratch", level=0.999)
    assert strict.verdict == "undecided"
    assert strict.interval.level == 0.999
    assert strict.interval.contains(0)


def test_with_the_stated_number_of_seeds_the_interval_excludes_0_and_with_one_less_it_does_not():
    rng = np.random.default_rng(0)
    judgement = judge(rng.normal(0.01, 0.02, 6), reference="scratch", comparisons=3)
    number = judgement.seeds_to_decide()
    level = 1 - 0.05 / 3
    assert number > 6
    assert judgement.estimate.half_width(level, number) < abs(judgement.gain)
    assert judgement.estimate.half_width(level, number - 1) >= abs(judgement.gain)
    assert judgement.seeds_to_decide(most=number - 1) is None


def test_more_seeds_do_not_help_where_the_test_set_is_too_small():
    rng = np.random.default_rng(1)
    items = rng.choice([-1, 0, 1], p=[0.13, 0.7, 0.17], size=100)  # each seed gains the same items, and some noise
    rows = [items + rng.choice([-1, 0, 1], p=[0.05, 0.9, 0.05], size=100) for _ in range(8)]
    on_items = judge(Gains.of_items(rows), reference="scratch")
    assert on_items.seeds_to_decide() is None
    assert judge([np.mean(row) for row in rows], reference="scratch").seeds_to_decide() is not None


def test_a_real_effect_is_found():
    gains = np.random.default_rng(0).normal(0.05, 0.02, size=(200, 10))
    assert np.mean([judge(row, reference="scratch", comparisons=6).verdict == "helps" for row in gains]) > 0.8


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: judge_all({"mnist -> usps": []}, references="scratch"), "mnist -> usps: gains"),
        (lambda: judge([0.1, float("nan")], reference="scratch"), "nan is not a finite"),
        (lambda: judge_all({1: GOOD, 2: GOOD}, references="scratch", comparisons=1), "1 declared"),
        (lambda: judge(GOOD, reference="scratch", level=1.0), "level: 1.0"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
