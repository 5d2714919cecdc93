"""What a report advises, by records whose numbers were worked by hand."""

import pytest
from made_records import made, write

from landbridge.report.advice import MOST, Advice, advise
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.rules import rule_rows
from landbridge.statistics import t_interval

SEEDS = (0, 1, 2)


@pytest.fixture
def advised(tmp_path_factory):
    """A function from records to what a report on them advises."""

    def through(records) -> list[Advice]:
        found = collect([write(tmp_path_factory.mktemp("made"), records)])
        comparison = compare(found.runs, found.unfinished)
        return advise(found, comparison, rule_rows(comparison.cells))

    return through


def gaining(*gains, first=0, base=0.5, **settings):
    """Runs of `dann` that are ahead of `source_only` by these gains, a seed each."""
    for seed, gain in enumerate(gains, first):
        yield made("source_only", base, seed, **settings)
        yield made("dann", base + gain, seed, **settings)


def about(advice: list[Advice], word: str) -> Advice | None:
    return next((each for each in advice if word in each.says), None)


def costing(seconds: float, record):
    record.cost["seconds"] = seconds
    return record


def test_seeds_are_those_that_holm_needs_where_the_gain_is_far_above_its_spread(advised):
    # Mean 2 points, standard deviation 1: 4 seeds would do for the interval, but 2 / 2^5 > .05.
    advice = about(advised(gaining(0.01, 0.02, 0.03)), "undecided")
    assert advice.override == "seed=range(6)"
    assert advice.says.startswith(
        "1 of 1 comparison undecided, 1 with fewer than the 6 seeds needed over 1 pair. "
        "If true gains and spreads are as seen, 6 seeds decide 1 of them"
    )


def test_seeds_are_those_that_the_spread_needs(advised):
    # Mean 2, deviation 4: t(16) / sqrt(17) = 2.120 / 4.123 > .5 and t(17) / sqrt(18) = 2.110 / 4.243 < .5.
    assert about(advised(gaining(-0.02, 0.02, 0.06)), "undecided").override == "seed=range(18)"
    assert about(advised(gaining(-0.02, 0.02, 0.06, first=10)), "undecided").override == "seed=range(10,28)"


def test_over_two_pairs_the_interval_must_be_wider(advised):
    records = [*gaining(-0.02, 0.02, 0.06), *gaining(-0.02, 0.02, 0.06, source="dawn")]
    # At 97.5 %: t(22) / sqrt(23) = 2.405 / 4.796 > .5 and t(23) / sqrt(24) = 2.398 / 4.899 < .5.
    advice = about(advised(records), "undecided")
    assert advice.override == "seed=range(24)"
    assert "24 seeds decide 2" in advice.says


def test_a_first_step_decides_half_of_what_can_be_decided(advised):
    # With three pairs 7 are the least; the second pair needs more than that, the third more than anybody should run.
    records = [
        *gaining(0.01, 0.02, 0.03),
        *gaining(-0.02, 0.02, 0.06, source="dawn"),
        *gaining(-0.05, 0.01, 0.05, source="night"),
    ]
    advice = about(advised(records), "undecided")
    assert advice.override == "seed=range(7)"
    assert "7 seeds decide 1" in advice.says
    assert "1 stay undecided with 30" in advice.says


def test_what_has_no_gain_needs_no_seeds(advised):
    advice = about(advised(gaining(-0.02, 0.0, 0.02)), "undecided")
    assert "Not even 30 seeds decide any" in advice.says
    assert advice.override == ""


def test_of_one_seed_the_spread_is_unknown(advised):
    assert about(advised(gaining(0.1)), "undecided").override == "seed=range(6)"


def test_what_is_decided_needs_no_more_seeds(advised):
    (advice,) = advised(gaining(*[0.1, 0.11, 0.12] * 2))
    assert advice.says.startswith("One pair tells nothing of the next")


def test_the_other_direction_is_named_where_domains_were_chosen(advised):
    records = list(gaining(*[0.1, 0.11, 0.12] * 2))
    for record in records:
        record.choices |= {"source": "noon", "target": "dusk"}
    (advice,) = advised(records)
    assert advice.override == "source=dusk target=noon"


def test_failed_runs_are_to_be_run_again_and_running_ones_waited_for(advised):
    running = made("mcc", None, seed=1)
    running.status, running.reason = "running", None
    assert "1 of 3 runs have no result." in (advice := about(advised([*gaining(0.1), running]), "no result")).says
    assert advice.override == ""
    advice = about(advised([*gaining(0.1), running, made("mcc", None)]), "no result")
    assert advice.override == "hydra.launcher.retry_failed=true"
    assert "2 of 4 runs have no result; 1 failed, most often with “LandbridgeError: training diverged”" in advice.says


def test_a_missing_reference_is_to_be_run(advised):
    assert advised([made("dann")])[0].override == "strategy=source_only"
    assert advised([made("fine_tune", target_labels=5)])[0].override == "source=null strategy=target_only"
    assert advised([made("source_only")])[0].says.startswith("Run a method that transfers")


def test_unequal_budgets_are_to_be_made_equal(advised):
    longer = [made("source_only", 0.5), made("dann", 0.6, trainer__max_epochs=30)]
    advice = about(advised(longer), "unequal")
    assert advice.override == "trainer.max_epochs=30"
    assert "dann with 1 × 60 against source_only with 1 × 6 (" in advice.says
    more = [made("source_only", 0.5), *(made("dann", 0.6, strategy__weight=weight) for weight in (0.1, 1.0))]
    advice = about(advised(more), "unequal")
    assert "with 2 × 6 against source_only with 1 × 6 (" in advice.says
    assert advice.override == ""


def harmed(source="noon", gain=-0.1, **settings):
    """Six runs that lose to training on the target alone."""
    for seed in range(6):
        record = made("fine_tune", 0.7 + gain + 0.002 * (seed % 2), seed, source=source, target_labels=1, **settings)
        record.overrides.append(f"source={source}")
        yield record


def alone(**settings):
    return [made("target_only", 0.7, seed, source=None, target_labels=1, **settings) for seed in range(6)]


def test_what_a_source_harms_is_to_do_without_it(advised):
    advice = about(advised([*alone(), *harmed()]), "harms")
    assert advice.override == "source=null strategy=target_only"
    assert advice.says.startswith("fine_tune harms on noon → dusk: -9.9 [-10.0, -9.8] points over target_only.")


def test_a_source_that_helps_is_better_than_one_that_harms(advised):
    # Over two pairs 7 seeds are needed: a seventh for each.
    records = [made("target_only", 0.7, seed, source=None, target_labels=1) for seed in range(7)]
    for source, accuracy in (("noon", 0.6), ("dawn", 0.8)):
        for seed in range(7):
            record = made("fine_tune", accuracy + 0.002 * (seed % 2), seed, source=source, target_labels=1)
            record.overrides += [f"source={source}", "source.strength=2"]
            records.append(record)
    advice = about(advised(records), "harms")
    assert "From dawn it helps, +10.1 [" in advice.says
    assert advice.override == "source=dawn source.strength=2"


def test_a_frozen_backbone_that_harms_is_to_be_trained_unless_that_was_tried(advised):
    records = [*alone(), *harmed(freeze__depth="all")]
    assert about(advised(records), "harms").override == "freeze.depth=0"
    records += harmed(gain=-0.05, freeze__depth=0)
    assert about(advised(records), "harms").override == "source=null strategy=target_only"


def test_adaptation_that_harms_leaves_the_source_model(advised):
    assert about(advised(gaining(*[-0.1, -0.11] * 3)), "harms").override == "strategy=source_only"


@pytest.mark.parametrize(
    ("values", "steps", "override"),
    [
        ((0.001, 0.01), (0.0, 0.1), "optimizer.lr=0.1"),
        ((0.001, 0.002), (0.1, 0.0), "optimizer.lr=0.0005"),
        ((0.001, 0.01, 0.1), (0.0, 0.1, 0.0), None),
    ],
)
def test_a_learning_rate_that_is_best_at_an_end_has_its_axis_widened(advised, values, steps, override):
    records = [
        made(strategy, 0.5 + (step + 0.01 * (seed == 1)) * (strategy == "dann"), seed, optimizer__lr=lr)
        for lr, step in zip(values, steps, strict=True)
        for seed in SEEDS
        for strategy in ("source_only", "dann")
    ]
    advice = about(advised(records), "Widen")
    assert (advice and advice.override) == override
    if advice:
        # Pairing takes away what a seed adds to both ends: the interval has no width.
        assert "best on 1 of 2 curves, such as dann on noon → dusk: " in advice.says
        assert "is +10.0 points [+10.0, +10.0] above" in advice.says


@pytest.mark.parametrize(
    ("depths", "best", "override"),
    [
        ((0, 1, 2), 2, "freeze.depth=all"),
        ((1, 2), 1, "freeze.depth=0"),
        ((0, 1, 2), 0, None),
        ((0, 1, "all"), "all", None),
    ],
)
def test_freezing_goes_on_to_its_ends_and_no_further(advised, depths, best, override):
    records = [
        made(strategy, 0.6 if strategy == "dann" and depth == best else 0.5, seed, freeze__depth=depth)
        for depth in depths
        for seed in SEEDS
        for strategy in ("source_only", "dann")
    ]
    advice = about(advised(records), "Widen")
    assert (advice and advice.override) == override


def test_an_end_that_is_best_by_chance_widens_nothing(advised):
    # Steps of 10, 0 and 2 points: the interval holds 0.
    records = [
        made(strategy, 0.5 + (step if strategy == "dann" and lr == 0.01 else 0), seed, optimizer__lr=lr)
        for lr in (0.001, 0.01)
        for seed, step in enumerate((0.1, 0.0, 0.02))
        for strategy in ("source_only", "dann")
    ]
    assert t_interval([0.1, 0.0, 0.02]).contains(0)
    assert about(advised(records), "Widen") is None


@pytest.mark.parametrize(("risen", "widens"), [(1, False), (2, True)])
def test_one_curve_of_many_widens_nothing(advised, risen, widens):
    sources = ["noon", "dawn", "night", "fog", "rain", "snow"]
    records = [
        made(strategy, 0.5 + 0.1 * rises, seed, source=source, optimizer__lr=lr)
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


def test_a_rule_that_surely_picks_better_epochs_is_named_and_stamped(advised):
    # `last` picks .5, .48 and .49, the best is .6: regrets 10, 12 and 11. `snd` always picks the best.
    oracles = [(0.4, 0.6, last) for last in (0.5, 0.48, 0.49)]
    advice = about(advised(ruled([1, 3, 2], oracles)), "picks epochs")
    assert advice.says.startswith(
        "ORACLE: last picks epochs 11.0 points below the best ones, snd 11.0 less (Spearman +1.00)."
    )
    assert advice.override == "selection=snd"


@pytest.mark.parametrize(
    ("scores", "oracles"),
    [
        # Its highest place is one of the best, but ranks (3, 1, 2) and (2.5, 2.5, 1) have a correlation of 0.
        ([3, 1, 2], [(0.6, 0.6, 0.5)] * 3),
        # Two seeds are too few.
        ([1, 3, 2], [(0.4, 0.6, 0.5)] * 2),
        # It saves 30, 0 and 0 points: not sure.
        ([1, 3, 2], [(0.4, 0.8, 0.5), (0.4, 0.5, 0.5), (0.4, 0.5, 0.5)]),
        # Half a point is not worth it.
        ([1, 3, 2], [(0.4, 0.505, 0.5)] * 3),
    ],
    ids=["ranks differ", "few seeds", "by chance", "small"],
)
def test_another_rule_is_not_named_on_weak_grounds(advised, scores, oracles):
    assert about(advised(ruled(scores, oracles)), "picks epochs") is None


def test_what_is_hardly_better_and_far_dearer_is_not_worth_it(advised):
    # Ahead by .2, .4 and 0 points: mean .2, interval .2 +- 4.303 * .2 / sqrt(3) = [-.3, .7], below one point.
    records = []
    for seed, gap in zip(SEEDS, (0.002, 0.004, 0.0), strict=True):
        records += [
            costing(12, made("source_only", 0.4, seed)),
            costing(10, made("mcc", 0.6, seed)),
            costing(40, made("dann", 0.6 + gap, seed)),
        ]
    advice = about(advised(records), "cheaper")
    assert advice.says.startswith(
        "On noon → dusk, dann takes 4.0 times the seconds of mcc and gains +0.2 points [-0.3, +0.7] over it."
    )
    assert advice.override == "strategy=mcc"


@pytest.mark.parametrize(
    ("gaps", "seconds"), [((0.02, 0.024, 0.02), 40), ((0.02, -0.02, 0.01), 40), ((0.002, 0.004, 0.0), 20)]
)
def test_nothing_is_called_as_good_that_may_be_a_point_worse_or_nearly_as_dear(advised, gaps, seconds):
    records = []
    for seed, gap in zip(SEEDS, gaps, strict=True):
        records += [costing(10, made("source_only", 0.6, seed)), costing(seconds, made("dann", 0.6 + gap, seed))]
    assert about(advised(records), "cheaper") is None


def test_hidden_labels_recommend_no_method(advised):
    def records(oracle, stamped):
        for seed in SEEDS:
            yield costing(10, made("source_only", 0.5, seed, oracle=oracle))
            yield costing(40, made("dann", 0.501, seed, oracle=oracle[::-1]))
            if stamped:
                yield costing(0.1, made("target_only", 0.99, seed, source=None, target_labels="all"))
                chosen = costing(0.1, made("mcc", 0.98, seed))
                chosen.selection |= {"rule": "oracle", "oracle": True}
                yield chosen

    plain = advised(records((0.5, 0.5, 0.5), stamped=False))
    assert about(plain, "cheaper").override == "strategy=source_only"
    assert advised(records((0.1, 0.9, 0.5), stamped=True)) == plain


def test_the_first_screen_takes_five_the_most_pressing_first(advised):
    records = [made("mcc", None), made("bnm", 0.5, backbone__width=9)]
    for lr, step in ((0.001, 0.0), (0.01, 0.1)):
        for seed in SEEDS:
            oracle = {"oracle": (0.4, 0.6, 0.5), "rules": {"snd": [1, 3, 2]}, "optimizer__lr": lr}
            records.append(costing(10, made("source_only", 0.5 + step, seed, **oracle)))
            records.append(costing(40, made("dann", 0.5 + step + 0.001, seed, trainer__max_epochs=9, **oracle)))
    advice = advised(records)
    assert len(advice) == MOST == 5
    words = ["no result", "without a verdict", "unequal", "undecided", "Widen"]
    assert [word for each, word in zip(advice, words, strict=True) if word in each.says] == words
