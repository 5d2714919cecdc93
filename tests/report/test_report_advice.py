"""The advice of a report, on records with numbers that were worked by hand."""

from advising import about, costing
from made_records import made

from landbridge.report.advice import MOST

SEEDS = (0, 1, 2)


def gaining(*gains, first=0, base=0.5, **settings):
    """Yield runs of `source_only` and `dann`; `dann` has these gains, one for each seed."""
    for seed, gain in enumerate(gains, first):
        yield made("source_only", base, seed, **settings)
        yield made("dann", base + gain, seed, **settings)


def test_for_a_small_variance_a_verdict_still_needs_five_seeds(advised):
    advice = about(advised(gaining(0.019, 0.02, 0.021)), "undecided")
    assert advice.override == "seed=range(5)"
    assert advice.says.startswith(
        "1 of 1 comparison undecided, 1 with fewer than the 5 seeds needed. "
        "If true means and variances equal the observed ones, 5 seeds decide 1 of them, "
    )


def test_for_a_large_variance_the_interval_determines_the_number_of_seeds(advised):
    # Mean 2, deviation 4, half of the degrees of freedom:
    # t(9.5) / sqrt(20) = 2.244 / 4.472 > .5 and t(10) / sqrt(21) = 2.228 / 4.583 < .5.
    assert about(advised(gaining(-0.02, 0.02, 0.06)), "undecided").override == "seed=range(21)"
    assert about(advised(gaining(-0.02, 0.02, 0.06, first=10)), "undecided").override == "seed=range(10,31)"


def test_two_comparisons_need_a_wider_interval_and_more_seeds(advised):
    records = [*gaining(-0.02, 0.02, 0.06), *gaining(-0.02, 0.02, 0.06, source="dawn")]
    # At 97.5 %: t(12) / sqrt(25) = 2.560 / 5 > .5 and t(12.5) / sqrt(26) = 2.547 / 5.099 < .5.
    advice = about(advised(records), "undecided")
    assert advice.override == "seed=range(26)"
    assert "26 seeds decide 2" in advice.says


def test_the_recommended_seeds_decide_half_of_the_decidable_comparisons(advised):
    # Over three comparisons, they need 7 seeds, 30 seeds, and more than `MOST_SEEDS`.
    records = [
        *gaining(0.01, 0.02, 0.03),
        *gaining(-0.02, 0.02, 0.06, source="dawn"),
        *gaining(-0.05, 0.01, 0.05, source="night"),
    ]
    advice = about(advised(records), "undecided")
    assert advice.override == "seed=range(7)"
    assert "7 seeds decide 1" in advice.says
    assert "1 stay undecided even with 30 seeds" in advice.says


def test_no_seeds_are_recommended_for_a_mean_gain_of_zero(advised):
    advice = about(advised(gaining(-0.02, 0.0, 0.02)), "undecided")
    assert "Not even 30 seeds decide one" in advice.says
    assert advice.override == ""


def test_with_one_seed_the_least_number_of_a_verdict_is_recommended(advised):
    assert about(advised(gaining(0.1)), "undecided").override == "seed=range(5)"


def test_no_seeds_are_recommended_for_decided_comparisons(advised):
    (advice,) = advised(gaining(*[0.1, 0.11, 0.12] * 2))
    assert advice.says.startswith("There is only one pair")


def test_the_other_direction_is_recommended_if_domains_were_chosen_by_name(advised):
    records = list(gaining(*[0.1, 0.11, 0.12] * 2))
    for record in records:
        record.choices |= {"source": "noon", "target": "dusk"}
    (advice,) = advised(records)
    assert advice.override == "source=dusk target=noon"


def test_failed_runs_are_retried_and_running_runs_are_not(advised):
    running = made("mcc", None, seed=1)
    running.status, running.reason = "running", None
    assert "1 of 3 runs have no result." in (advice := about(advised([*gaining(0.1), running]), "no result")).says
    assert advice.override == ""
    advice = about(advised([*gaining(0.1), running, made("mcc", None)]), "no result")
    assert advice.override == "hydra.launcher.retry_failed=true"
    assert "2 of 4 runs have no result; 1 failed, most often with “LandbridgeError: training diverged”" in advice.says


def test_a_missing_reference_is_recommended(advised):
    assert advised([made("dann")])[0].override == "strategy=source_only"
    assert advised([made("fine_tune", target_labels=5)])[0].override == "source=null strategy=target_only"
    assert advised([made("source_only")])[0].says.startswith("Run a method that transfers")
    augmented = made("dann", augment={"_target_": "landbridge.data.augment_policies.Weak"})
    augmented.choices["augment"] = "weak"
    advice = advised([made("source_only"), augmented])[0]
    assert "source_only differs in augmentation" in advice.says
    assert advice.override == "strategy=source_only augment=weak"
    other_head = made("dann", head={"_target_": "landbridge.heads.Cosine"})
    other_head.choices |= {"head": "cosine", "augment": "none"}
    linear = made("source_only", head={"_target_": "landbridge.heads.Linear"})
    assert advised([linear, other_head])[0].override == "strategy=source_only head=cosine"


def test_equal_tuning_budgets_are_recommended(advised):
    longer = [made("source_only", 0.5), made("dann", 0.6, trainer__max_epochs=30)]
    advice = about(advised(longer), "unequal")
    assert advice.override == "trainer.max_epochs=30"
    assert "dann with 1 × 60 against source_only with 1 × 6 (" in advice.says
    more = [made("source_only", 0.5), *(made("dann", 0.6, strategy__weight=weight) for weight in (0.1, 1.0))]
    advice = about(advised(more), "unequal")
    assert "with 2 × 6 against source_only with 1 × 6 (" in advice.says
    assert advice.override == ""


def harmed(source="noon", gain=-0.1, **settings):
    """Yield six runs that are worse than training on the target alone."""
    for seed in range(6):
        record = made("fine_tune", 0.7 + gain + 0.002 * (seed % 2), seed, source=source, target_labels=1, **settings)
        record.overrides.append(f"source={source}")
        yield record


def alone(**settings):
    return [made("target_only", 0.7, seed, source=None, target_labels=1, **settings) for seed in range(6)]


def test_training_without_the_source_is_recommended_if_the_source_harms(advised):
    advice = about(advised([*alone(), *harmed()]), "harms")
    assert advice.override == "source=null strategy=target_only"
    assert advice.says.startswith("fine_tune harms on noon → dusk: -9.9 [-10.1, -9.7] points over target_only.")


def test_a_source_that_helps_is_recommended_instead_of_one_that_harms(advised):
    # Two pairs need 7 seeds each.
    records = [made("target_only", 0.7, seed, source=None, target_labels=1) for seed in range(7)]
    for source, accuracy in (("noon", 0.6), ("dawn", 0.8)):
        for seed in range(7):
            record = made("fine_tune", accuracy + 0.002 * (seed % 2), seed, source=source, target_labels=1)
            record.overrides += [f"source={source}", "source.strength=2"]
            records.append(record)
    advice = about(advised(records), "harms")
    assert "From dawn the same method helps: +10.1 [" in advice.says
    assert advice.override == "source=dawn source.strength=2"


def test_training_all_stages_is_recommended_if_a_frozen_backbone_harms_and_this_was_not_tried(advised):
    records = [*alone(), *harmed(freeze__depth="all")]
    assert about(advised(records), "harms").override == "freeze.depth=0"
    records += harmed(gain=-0.05, freeze__depth=0)
    assert about(advised(records), "harms").override == "source=null strategy=target_only"


def test_the_source_model_is_recommended_if_adaptation_harms(advised):
    assert about(advised(gaining(*[-0.1, -0.11] * 3)), "harms").override == "strategy=source_only"


def test_hidden_labels_and_oracle_rows_do_not_change_the_recommended_method(advised):
    def records(oracle, stamped):
        for seed in SEEDS:
            yield costing(10, made("source_only", 0.5, seed, oracle=oracle))
            yield costing(40, made("dann", 0.501 + 0.0005 * (seed == 1), seed, oracle=oracle[::-1]))
            if stamped:
                yield costing(0.1, made("target_only", 0.99, seed, source=None, target_labels="all"))
                chosen = costing(0.1, made("mcc", 0.98, seed))
                chosen.selection |= {"rule": "oracle", "oracle": True}
                yield chosen

    plain = advised(records((0.5, 0.5, 0.5), stamped=False))
    assert about(plain, "cheaper").override == "strategy=source_only"
    assert advised(records((0.1, 0.9, 0.5), stamped=True)) == plain


def test_at_most_five_pieces_of_advice_are_given_the_most_important_first(advised):
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
