"""Pairs, references and verdicts, against cases worked by hand and against scipy."""

import base64

import numpy as np
import pytest
from made_records import made, write
from scipy import stats

from landbridge.report.cells import Comparison
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.ranking import rank
from landbridge.report.runs import Method, Pair

SEEDS = range(7)


@pytest.fixture
def compared(tmp_path_factory):
    """Return a function that compares records as a report does."""

    def through(records) -> Comparison:
        found = collect([write(tmp_path_factory.mktemp("made"), records)])
        return compare(found.runs, found.unfinished)

    return through


def only(comparison: Comparison, strategy: str):
    (cell,) = [cell for cell in comparison.cells if cell.method.strategy == strategy]
    return cell


def test_gains_are_paired_by_seed_and_their_interval_and_p_equal_those_of_scipy(compared):
    base = {seed: 0.3 + 0.05 * seed for seed in reversed(SEEDS)}
    gains = {seed: 0.1 + 0.004 * (seed % 3) for seed in SEEDS}
    records = [made("source_only", base[seed], seed) for seed in base]
    records += [made("dann", base[seed] + gains[seed], seed) for seed in SEEDS]
    cell = only(compared(records), "dann")
    judgement = cell.judgement
    values = np.array([gains[seed] for seed in SEEDS])
    assert cell.gains == pytest.approx(values)
    # The accuracies of these records are no means over their 60 samples, so that seeds alone vary.
    low, high = stats.t.interval(0.95, (len(values) - 1) / 2, values.mean(), stats.sem(values))
    assert (judgement.interval.low, judgement.interval.high) == pytest.approx((low, high))
    assert judgement.p == pytest.approx(2 * stats.t.sf(values.mean() / stats.sem(values), (len(values) - 1) / 2))
    assert (judgement.verdict, judgement.reference) == ("helps", "source_only")
    assert "holds for this test set only" in cell.flags


def test_seeds_missing_in_the_reference_count_in_the_mean_but_not_in_the_gain(compared):
    records = [made("source_only", 0.5, seed) for seed in (0, 1)]
    records += [made("dann", accuracy, seed) for seed, accuracy in ((1, 0.6), (2, 0.9))]
    cell = only(compared(records), "dann")
    assert cell.mean == pytest.approx(0.75)
    assert cell.gains == pytest.approx([0.1])
    assert "1 seed missing in the reference" in cell.flags
    assert cell.judgement.interval is None


def test_runs_with_different_settings_are_not_compared_and_the_setting_is_named(compared):
    records = [made("source_only", 0.5, optimizer__lr=0.001), made("dann", 0.6, optimizer__lr=0.01)]
    cell = only(compared(records), "dann")
    assert cell.judgement is None
    assert cell.why_none == "no source_only with equal optimizer.lr"


def test_each_variant_is_compared_with_the_reference_of_the_same_setting(compared):
    rates = (0.001, 0.01)
    records = [made("source_only", 0.4 + 10 * lr, optimizer__lr=lr) for lr in rates]
    records += [made("dann", 0.6, optimizer__lr=lr) for lr in rates]
    comparison = compared(records)
    gains = {cell.method: cell.gains[0] for cell in comparison.judged}
    assert gains == {
        Method("dann", (("optimizer.lr", "0.001"),)): pytest.approx(0.19),
        Method("dann", (("optimizer.lr", "0.01"),)): pytest.approx(0.1),
    }


def test_the_reference_with_the_most_equal_settings_is_used(compared):
    records = [made("source_only", 0.2 * (depth + 1), freeze__depth=depth) for depth in (0, 1)]
    records += [made("dann", 0.5, freeze__depth=depth) for depth in (0, 1)]
    assert [cell.gains[0] for cell in compared(records).judged] == pytest.approx([0.3, 0.1])


def test_a_method_with_target_labels_is_compared_with_target_only_on_the_same_number(compared):
    start = {"_target_": "landbridge.models.start.Source"}
    records = [made("target_only", 0.1 * n, source=None, target_labels=n) for n in (1, 5)]
    records += [made("fine_tune", 0.7, target_labels=n, start=start) for n in (1, 5)]
    comparison = compared(records)
    assert {cell.judgement.reference for cell in comparison.judged} == {"target_only"}
    assert [cell.gains[0] for cell in comparison.judged] == pytest.approx([0.6, 0.2])
    assert not any(cell.oracle for cell in comparison.cells)


def test_training_on_more_labels_than_every_transferring_method_is_an_oracle_and_no_reference(compared):
    records = [made("source_only", 0.5), made("dann", 0.6), made("target_only", 0.9, source=None, target_labels="all")]
    comparison = compared(records)
    assert [cell.method.strategy for cell in comparison.cells if cell.oracle] == ["target_only"]
    assert [str(method) for method in comparison.methods] == ["source_only", "dann"]


def test_a_run_with_an_epoch_selected_by_the_oracle_has_no_verdict(compared):
    chosen = made("mcc", 0.7)
    chosen.selection |= {"rule": "oracle", "oracle": True}
    cell = only(compared([made("source_only", 0.5), chosen]), "mcc")
    assert cell.oracle
    assert cell.judgement is None


def test_unequal_tuning_budgets_are_flagged(compared):
    records = [made("source_only", 0.5), *(made("dann", 0.6, strategy__weight=weight) for weight in (0.1, 1.0))]
    flags = [cell.flags for cell in compared(records).judged]
    assert all("unequal budget: 2 settings against 1" in each for each in flags)


def test_a_transductive_method_is_judged_and_flagged(compared):
    cell = only(compared([made("source_only", 0.5, transductive=False), made("tent", 0.6, transductive=True)]), "tent")
    assert cell.judgement.gain == pytest.approx(0.1)
    assert "transductive: adapts to the test inputs" in cell.flags


def test_longer_training_is_a_larger_tuning_budget(compared):
    cell = only(compared([made("source_only", 0.5), made("dann", 0.6, trainer__max_epochs=30)]), "dann")
    assert cell.judgement.budget_mismatch is True


def gaining(seeds, gain=0.2, strategies=("dann",)):
    """Return runs whose accuracies are means over their 60 samples, like those of real runs."""
    return [
        made(strategy, round(60 * (accuracy + 0.02 * (seed % 3) * (strategy != "source_only"))) / 60, seed)
        for seed in range(seeds)
        for strategy, accuracy in (("source_only", 0.5), *((name, 0.5 + gain) for name in strategies))
    ]


def test_five_seeds_are_enough_for_a_single_comparison(compared):
    assert only(compared(gaining(5)), "dann").judgement.verdict == "helps"
    assert only(compared(gaining(4)), "dann").judgement.verdict == "undecided"


def test_a_gain_of_one_sample_in_every_seed_is_undecided(compared):
    cell = only(compared(gaining(9, gain=1 / 60)), "dann")
    assert all(gain > 0 for gain in cell.gains)
    assert cell.verdict == "undecided"
    assert "holds for this test set only" not in cell.flags


def test_the_correction_is_over_all_methods_pairs_and_declared_comparisons(compared):
    records = [*gaining(5, strategies=("dann", "mcc")), made("dann", None, source="dawn"), made("bnm", None)]
    comparison = compared(records)
    assert comparison.pairs == [Pair("dawn", "dusk"), Pair("noon", "dusk")]
    assert comparison.corrected_over == 4
    assert {cell.judgement.comparisons for cell in comparison.judged} == {4}
    # A seed of a method that has results on the pair, and a failed reference, are no further comparisons.
    more = [made("mcc", None, 7), made("source_only", None, source="dawn")]
    assert compared([*records, *more]).corrected_over == 4


def with_splits(records, pool="all of dusk", size=300):
    """Give each seed a test set of its own, and return the records."""
    for record in records:
        seed = record.config["seed"]
        record.data["target"] |= {"fingerprint": f"split {seed}", "samples": pool}
        record.data["target"]["sizes"] = {"train": 180, "val": 60, "test": 60}
        items = np.random.default_rng(seed).permutation(size)[:60].astype("<i4")
        record.results["target"]["items"] = base64.b64encode(items.tobytes()).decode()
    return records


def test_seeds_with_splits_of_their_own_are_one_pair_and_judged_by_the_samples_they_share(compared):
    shared, own = only(compared(gaining(6)), "dann"), only(compared(with_splits(gaining(6))), "dann")
    assert own.pair == Pair("noon", "dusk")
    assert own.gains == shared.gains
    assert "holds for this test set only" not in own.flags
    # In these records the first samples of every test set gain. They are the same samples only in a shared test set.
    assert own.judgement.estimate.over_items < shared.judgement.estimate.over_items


def test_without_the_samples_of_each_test_set_their_overlap_follows_from_the_sizes(compared):
    records = with_splits(gaining(6))
    for record in records:
        del record.results["target"]["items"]
    cell = only(compared(records), "dann")
    spread = np.var(cell.gains, ddof=1)
    assert cell.judgement.estimate.error**2 == pytest.approx(spread * (1 / 6 + 60 / 240))
    assert "holds for this test set only" not in cell.flags


def test_domains_with_the_same_samples_and_another_setting_are_two_pairs(compared):
    records = with_splits([*gaining(2), *gaining(2)])
    for record in records[4:]:
        record.data["target"]["fingerprint"] += " with another share"
        record.config["target"]["val_share"] = 0.3
        record.fingerprint += "another share"
    assert {pair.target for pair in compared(records).pairs} == {"dusk (val_share=default)", "dusk (val_share=0.3)"}


def test_ranks_are_over_targets_and_shared_seeds(compared):
    def runs(targets, sources=("noon", "dawn")):
        for target in targets:
            for strategy, accuracy in (("source_only", 0.5), ("dann", 0.6), ("mcc", 0.7)):
                for source in sources:
                    yield made(strategy, accuracy, 0, source=source, target=target)
                    if strategy == "source_only":  # a seed that the others do not have
                        yield made(strategy, 1.0, 1, source=source, target=target)

    few, enough = rank(compared(list(runs("ab")))), rank(compared(list(runs("abcde"))))
    for ranks in (few, enough):
        assert ranks.ranks == {"mcc": 1, "dann": 2, "source_only": 3}
    assert (len(few.pairs), few.blocks, few.friedman, few.difference) == (4, ["a", "b"], None, None)
    assert few.untested == "2 targets are too few to test ranks; 5 are needed."
    assert enough.friedman.statistic == pytest.approx(10)
    assert enough.difference == pytest.approx(3.3145 * (3 * 4 / (6 * 5)) ** 0.5 / 2**0.5, rel=1e-3)
    assert rank(compared(list(runs("a")))) is None


def test_the_same_strategy_from_scratch_is_the_preferred_reference(compared):
    start = {"_target_": "landbridge.models.start.Source", "before": "scratch"}
    records = [made("target_only", 0.9, source=None, target_labels=1)]
    for depth, gain in ((0, 0.1), ("all", 0.3)):
        settings = {"target_labels": 1, "freeze__depth": depth, "strategy__backbone_lr_scale": 1.0}
        records += [
            made("fine_tune", 0.4, source=None, **settings),
            made("fine_tune", 0.4 + gain, start=start, **settings),
        ]
    judged = compared(records).judged
    assert {str(cell.method): cell.gains[0] for cell in judged} == {
        "fine_tune start=Source freeze.depth=0": pytest.approx(0.1),
        "fine_tune start=Source freeze.depth=all": pytest.approx(0.3),
    }
    assert {cell.reference_name for cell in judged} == {"scratch"}


# ---- augmentation and early stopping

WEAK, FLIP = ({"_target_": f"landbridge.data.augment_policies.{name}"} for name in ("Weak", "FlipCrop"))


def test_methods_are_compared_with_references_of_the_same_augmentation_only(compared):
    records = [made("source_only", 0.5, augment=None), made("dann", 0.6, augment=WEAK)]
    cell = only(compared(records), "dann")
    assert cell.judgement is None
    assert cell.why_none == "source_only differs in augmentation"
    cell = only(compared([*records, made("source_only", 0.55, augment=WEAK)]), "dann")
    assert cell.gains == pytest.approx([0.05])


def test_all_settings_of_the_augmentation_count_as_one(compared):
    records = [made("source_only", 0.5, augment=FLIP), made("dann", 0.6, augment=FLIP | {"mixup": 0.2, "area": 0.5})]
    assert only(compared(records), "dann").why_none == "source_only differs in augmentation"


def test_a_source_model_without_the_augmentation_differs(compared):
    start = {"_target_": "landbridge.models.start.Source", "augment": False}
    records = [made("source_only", 0.5, augment=WEAK), made("shot", 0.6, augment=WEAK, start=start)]
    assert only(compared(records), "shot").why_none == "source_only differs in augmentation"


def test_records_of_older_versions_augmented_in_three_methods_only(compared):
    records = [made(name, 0.5) for name in ("source_only", "dann", "FixMatch")]
    comparison = compared(records)
    assert only(comparison, "FixMatch").why_none == "source_only differs in augmentation"
    assert only(comparison, "dann").judgement
    newer = [made("mcc", 0.6, augment=None, label_smoothing=0, patience=None, callbacks=None)]
    assert only(compared([*records, *newer]), "mcc").judgement


# ---- heads

LINEAR, MDD = {"_target_": "landbridge.heads.Linear"}, {"_target_": "landbridge.heads.MLP", "widths": [1024]}


def test_methods_are_compared_with_references_of_the_same_head_only(compared):
    records = [made("source_only", 0.5, head=LINEAR), made("dann", 0.6, head=LINEAR), made("mcc", 0.7, head=MDD)]
    cell = only(compared(records), "mcc")
    assert cell.judgement is None
    assert cell.why_none == "source_only differs in head"
    comparison = compared([*records, made("source_only", 0.55, head=MDD)])
    assert {cell.method.strategy: cell.gains[0] for cell in comparison.judged} == {
        "dann": pytest.approx(0.1),
        "mcc": pytest.approx(0.15),
    }
    # A reference shares the head, so that its name does not repeat it.
    assert {cell.reference_name for cell in comparison.judged} == {"source_only"}


def test_head_and_augmentation_are_named_together(compared):
    records = [made("source_only", 0.5, head=LINEAR, augment=None), made("mcc", 0.7, head=MDD, augment=WEAK)]
    assert set(only(compared(records), "mcc").why_none.removeprefix("source_only differs in ").split(" and ")) == {
        "head",
        "augmentation",
    }


def test_runs_that_stopped_early_have_another_budget_and_are_flagged(compared):
    records = [made(strategy, 0.5, seed, patience=2) for seed in (0, 1) for strategy in ("source_only", "dann")]
    assert not only(compared(records), "dann").judgement.budget_mismatch
    records[-1].selection |= {"stopped_early": 2}
    cell = only(compared(records), "dann")
    assert "1 of 2 runs stopped early" in cell.flags
    assert cell.judgement.budget_mismatch
    assert (cell.budget.steps, cell.reference.budget.steps) == (5, 6)
