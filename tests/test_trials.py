"""The choice of the best run by its validation score, among runs of the same setting."""

from dataclasses import replace

import pytest

from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.sweeps.trials import choose


def finished(score, test=0.5, epoch=1, rule="target_val", **changes):
    """Return the record of a finished run. Its first epoch has a higher score, but is not the selected epoch."""
    return replace(
        Record(
            status="done",
            config={"target_labels": 5, "seed": 0},
            data={"target": {"fingerprint": "f"}},
            selection={"rule": rule, "epoch": epoch, "oracle": rule == "oracle", "checkpoint": "last.ckpt"},
            results={"target": {"accuracy": test}},
            epochs=[{"scores": {rule: 0.99}}, {"scores": {rule: score}}],
        ),
        **changes,
    )


def test_runs_are_compared_by_the_score_of_the_selected_epoch_and_not_by_test_results():
    runs = [finished(0.6, test=0.9), finished(0.8, test=0.1), finished(0.7, test=1.0)]
    assert choose(runs) is runs[1]
    assert choose(runs[::-1]) is runs[1]


def test_the_first_of_equal_runs_is_chosen_and_nan_is_the_worst_score():
    runs = [finished(float("nan")), finished(0.4), finished(0.4)]
    assert choose(runs) is runs[1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (finished(0.7, status="failed", overrides=["a=1"]), "a run is not finished and cannot be compared: a=1"),
        (finished(0.7, rule="source_val"), "different selection rules cannot be compared: source_val and target_val"),
        (finished(0.7, data={"target": {"fingerprint": "g"}}), "different targets"),
        (finished(0.7, config={"target_labels": "all", "seed": 0}), "different target_labels cannot .*: 5 and all"),
        (finished(0.7, config={"target_labels": 5, "seed": 1}), "different seeds"),
    ],
)
def test_unfinished_runs_and_runs_of_different_settings_are_refused(other, message):
    with pytest.raises(LandbridgeError, match=message):
        choose([finished(0.6), other])


@pytest.mark.parametrize(("rule", "message"), [("oracle", "reads hidden labels"), ("last", "gives no score")])
def test_runs_cannot_be_chosen_by_the_oracle_or_without_scores(rule, message):
    with pytest.raises(LandbridgeError, match=message):
        choose([finished(0.6, rule=rule)])


def test_an_empty_list_of_runs_is_refused():
    with pytest.raises(LandbridgeError, match="no runs"):
        choose([])


def test_the_stage_for_surgical_fine_tuning_is_chosen_by_visible_validation_labels(tiny):
    setting = ["strategy=target_only", "target_labels=2", "selection=target_val", "freeze=surgical"]
    runs = [tiny(*setting, f"freeze.stages={stage}", "trainer.max_epochs=2", folder=str(stage)) for stage in (1, 2)]
    scores = [max(row["scores"]["target_val"] for row in run.epochs) for run in runs]
    assert choose(runs) is runs[scores.index(max(scores))]
