"""Advice on better alternatives: further values of a setting, other selection rules and cheaper methods."""

import pytest
from advising import about, costing
from made_records import made

from landbridge.statistics import t_interval

SEEDS = (0, 1, 2)


@pytest.mark.parametrize(
    ("values", "steps", "override"),
    [
        ((0.001, 0.01), (0.0, 0.1), "optimizer.lr=0.1"),
        ((0.001, 0.002), (0.1, 0.0), "optimizer.lr=0.0005"),
        ((0.001, 0.01, 0.1), (0.0, 0.1, 0.0), None),
    ],
)
def test_further_learning_rates_are_recommended_if_an_end_is_best(advised, values, steps, override):
    records = [
        made(strategy, 0.5 + step * (1 + 0.1 * (seed == 1)) * (strategy == "dann"), seed, optimizer__lr=lr)
        for lr, step in zip(values, steps, strict=True)
        for seed in SEEDS
        for strategy in ("source_only", "dann")
    ]
    advice = about(advised(records), "Widen")
    assert (advice and advice.override) == override
    if advice:
        assert "best on 1 of 2 curves, such as dann on noon → dusk: " in advice.says
        # Steps of 10, 11 and 10 points: mean 10.3, interval 10.3 +- 12.706 * .577 / sqrt(3) = [6.1, 14.6].
        assert "is +10.3 points [+6.1, +14.6] above" in advice.says


@pytest.mark.parametrize(
    ("depths", "best", "override"),
    [
        ((0, 1, 2), 2, "freeze.depth=all"),
        ((1, 2), 1, "freeze.depth=0"),
        ((0, 1, 2), 0, None),
        ((0, 1, "all"), "all", None),
    ],
)
def test_further_freezing_depths_are_recommended_up_to_zero_and_all(advised, depths, best, override):
    records = [
        made(strategy, 0.6 if strategy == "dann" and depth == best else 0.5, seed, freeze__depth=depth)
        for depth in depths
        for seed in SEEDS
        for strategy in ("source_only", "dann")
    ]
    advice = about(advised(records), "Widen")
    assert (advice and advice.override) == override


def test_no_further_values_are_recommended_if_the_lead_of_an_end_is_not_significant(advised):
    # Steps of 10, 0 and 2 points: the interval contains 0.
    records = [
        made(strategy, 0.5 + (step if strategy == "dann" and lr == 0.01 else 0), seed, optimizer__lr=lr)
        for lr in (0.001, 0.01)
        for seed, step in enumerate((0.1, 0.0, 0.02))
        for strategy in ("source_only", "dann")
    ]
    assert t_interval([0.1, 0.0, 0.02]).contains(0)
    assert about(advised(records), "Widen") is None


@pytest.mark.parametrize(("risen", "widens"), [(1, False), (2, True)])
def test_further_values_need_more_than_a_tenth_of_the_curves(advised, risen, widens):
    sources = ["noon", "dawn", "night", "fog", "rain", "snow"]
    records = [
        made(strategy, 0.5 + (0.1 + 0.01 * (seed == 1)) * rises, seed, source=source, optimizer__lr=lr)
        for source in sources
        for lr in (0.001, 0.01)
        for seed in SEEDS
        for strategy in ("source_only", "dann")
        for rises in [strategy == "dann" and lr == 0.01 and source in sources[:risen]]
    ]
    advice = about(advised(records), "Widen")
    assert bool(advice) == widens
    assert not advice or "best on 2 of 12 curves" in advice.says


def ruled(scores, oracles):
    for seed, oracle in enumerate(oracles):
        for strategy, accuracy in (("source_only", 0.5), ("dann", 0.6)):
            yield made(strategy, accuracy, seed, oracle=oracle, rules={"snd": scores})


def test_a_significantly_better_selection_rule_is_recommended_and_marked_oracle(advised):
    # `last` picks .5, .48 and .49, the best is .6: regrets 10, 12 and 11. `snd` always picks the best.
    oracles = [(0.4, 0.6, last) for last in (0.5, 0.48, 0.49)]
    advice = about(advised(ruled([1, 3, 2], oracles)), "picks epochs")
    assert advice.says.startswith(
        "ORACLE: last picks epochs that are on average 11.0 points below those that hidden labels pick; "
        "snd reduces this by 11.0 points (Spearman correlation with the oracle +1.00)."
    )
    assert advice.override == "selection=snd"


def test_rules_are_compared_over_the_seeds_in_which_both_have_a_regret(advised):
    records = []
    for seed, last in enumerate((0.5, 0.48, 0.49, 0.47)):
        rules = {"snd": [1, 3, 2], "target_val": [1, 2, 3]}
        for strategy, accuracy in (("source_only", 0.5), ("dann", 0.6)):
            record = made(strategy, accuracy, seed, oracle=(0.4, 0.6, last), rules=rules)
            record.selection["rule"] = "target_val"
            for row in record.epochs:
                # A half of the validation split of seed 3 shows no label.
                row["halves"] |= {"target_val": [row["scores"]["target_val"]] * 2} if seed < 3 else {}
            records.append(record)
    assert "snd reduces this by 11.0 points" in about(advised(records), "picks epochs").says


@pytest.mark.parametrize(
    ("scores", "oracles"),
    [
        # Its pick is one of the best epochs, but ranks (3, 1, 2) and (2.5, 2.5, 1) have a correlation of 0.
        ([3, 1, 2], [(0.6, 0.6, 0.5)] * 3),
        # Two seeds are too few.
        ([1, 3, 2], [(0.4, 0.6, 0.5)] * 2),
        # It reduces the regret by 30, 0 and 0 points, which is not significant.
        ([1, 3, 2], [(0.4, 0.8, 0.5), (0.4, 0.5, 0.5), (0.4, 0.5, 0.5)]),
        # A reduction by half a point is too small.
        ([1, 3, 2], [(0.4, 0.505, 0.5)] * 3),
    ],
    ids=["ranks differ", "few seeds", "by chance", "small"],
)
def test_another_selection_rule_is_not_recommended_on_weak_evidence(advised, scores, oracles):
    assert about(advised(ruled(scores, oracles)), "picks epochs") is None


def test_a_cheaper_method_that_is_almost_as_good_is_recommended(advised):
    # Ahead by .2, .4, 0, .2, and .2 points: mean .2, interval .2 +- 4.303 * .141 / sqrt(5) = [-.1, .5].
    records = []
    for seed, gap in enumerate((0.002, 0.004, 0.0, 0.002, 0.002)):
        records += [
            costing(12, made("source_only", 0.4, seed)),
            costing(10, made("mcc", 0.6, seed)),
            costing(40, made("dann", 0.6 + gap, seed)),
        ]
    advice = about(advised(records), "cheaper")
    assert advice.says.startswith(
        "On noon → dusk, dann takes 4.0 times the seconds of mcc. Its mean gain over mcc is +0.2 points [-0.1, +0.5]."
    )
    assert advice.override == "strategy=mcc"


@pytest.mark.parametrize(
    ("gaps", "seconds"),
    [
        ((0.02, 0.024, 0.02, 0.02, 0.02), 40),
        ((0.02, -0.02, 0.01, 0.0, 0.0), 40),
        ((0.002, 0.004, 0.0, 0.002, 0.002), 20),
    ],
)
def test_a_cheaper_method_is_not_recommended_if_it_may_be_a_point_worse_or_is_not_much_cheaper(advised, gaps, seconds):
    records = []
    for seed, gap in enumerate(gaps):
        records += [costing(10, made("source_only", 0.6, seed)), costing(seconds, made("dann", 0.6 + gap, seed))]
    assert about(advised(records), "cheaper") is None
