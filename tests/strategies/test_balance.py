"""Class weights and balanced sampling in whole runs."""

import pytest
import torch
from test_every_strategy import STRATEGIES, content, differences, setting, streams_and_facts, without_oracle  # noqa: F401

from imbalance import skewed
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import GREY_28
from landbridge.run.checkpoints import LAST
from landbridge.run.epochs import Epochs
from landbridge.tasks import TaskSettings

SKEWED = ("source._target_=imbalance.skewed", "target._target_=imbalance.skewed")
BOTH = {"task.class_weights": "task.class_weights=balanced", "data.sampler": "data.sampler=balanced"}
SMALL = ("source=null", "target=rare_digits", "backbone=identity", "strategy=target_only")


@pytest.mark.long
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_class_weights_change_every_strategy_or_are_refused(strategy, setting, compose, tiny):  # noqa: F811
    name = "task.class_weights"
    overrides = [*setting(strategy, "fewest"), *SKEWED]
    # All target labels are shown, because a number per class is balanced.
    overrides = [each for each in overrides if not each.startswith("target_labels=")]
    needs = streams_and_facts(compose("experiment=tiny", f"strategy={strategy}"))
    overrides.append(f"target_labels={'all' if 'target' in needs.streams else 0}")
    if "start=source" in overrides:  # it would train with the same settings
        return
    if name not in needs.balancing or not needs.streams & {"source", "target"}:
        with pytest.raises(LandbridgeError, match=f"^{name}=balanced has no effect: strategy "):
            tiny(*overrides, BOTH[name], folder="balanced")
        return
    plain, balanced = tiny(*overrides, folder="plain"), tiny(*overrides, BOTH[name], folder="balanced")
    assert plain.fingerprint != balanced.fingerprint
    if plain.epochs[0]["losses"]:
        assert plain.epochs[0]["losses"] != balanced.epochs[0]["losses"]
    else:  # logistic regression
        assert plain.results["target"]["nll"] != balanced.results["target"]["nll"]


def test_a_strategy_without_a_use_for_a_setting_refuses_it(tiny):
    with pytest.raises(LandbridgeError, match=r"^task.class_weights=balanced has no effect: .* minimises no loss"):
        tiny("strategy=knn", "target_labels=all", BOTH["task.class_weights"])
    with pytest.raises(LandbridgeError, match=r"^data.sampler=balanced has no effect: .* trains on no batches"):
        tiny("strategy=logistic", "target_labels=all", BOTH["data.sampler"])


@pytest.mark.parametrize("strategy", ["dann", "target_only"])
def test_garbage_in_hidden_labels_changes_nothing(strategy, tiny, tmp_path):
    overrides = [f"strategy={strategy}", "target_labels=2", "selection=target_val", *SKEWED, *BOTH.values()]
    honest = tiny(*overrides, folder="honest")
    garbage = tiny(*overrides, "target.hidden_after=2", folder="garbage")
    assert honest.data["target"]["fingerprint"] != garbage.data["target"]["fingerprint"]
    assert not differences(content(tmp_path / "garbage"), content(tmp_path / "honest"))
    assert not differences(without_oracle(garbage.epochs), without_oracle(honest.epochs))


def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path, monkeypatch):
    overrides = ["strategy=dann", "target_labels=all", "trainer.max_epochs=3", *SKEWED, *BOTH.values()]
    straight = tiny(*overrides, folder="straight")
    with monkeypatch.context() as patch:

        def stop(self, trainer, *arguments):
            if trainer.current_epoch == 2:
                raise RuntimeError("the power went off")

        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*overrides, folder="resumed")
    assert tiny(*overrides, folder="resumed").results == straight.results
    assert not differences(content(tmp_path / "resumed", LAST), content(tmp_path / "straight", LAST))


def test_each_labelled_stream_has_its_own_weights_and_others_have_none():
    streams = TransferStreams.of(
        skewed("noon"),
        skewed("dusk"),
        {"source", "target", "target_unlabelled"},
        3,
        GREY_28,
        0,
        settings=TaskSettings("balanced"),
    )
    source, target = (streams.training[name] for name in ("source", "target"))
    assert source.weights is not None
    assert target.weights is not None
    sizes = source.labels.bincount()
    assert sizes.tolist() == [18, 6, 18]
    torch.testing.assert_close(source.weights, (42 / (3 * sizes))[source.labels])
    assert target.weights.tolist() == [1] * 9
    assert streams.training["target_unlabelled"].weights is None
    batch = next(iter(TransferData(streams, batch_size=6, sampler="balanced").train_dataloader()))
    assert batch["source"]["y"].bincount().tolist() == [2, 2, 2]
    torch.testing.assert_close(batch["source"]["weights"], source.weights[batch["source"]["index"]])
    assert batch["target_unlabelled"].keys() == {"x", "index"}


@pytest.mark.parametrize("balance", BOTH.values())
def test_the_accuracy_of_rare_digits_rises(balance, tiny):
    overrides = [*SMALL, "target_labels=all", "optimizer=adam", "optimizer.lr=0.01", "trainer.max_epochs=3"]
    overrides += ["data.batch_size=32", "data.steps_per_epoch=40"]
    plain, balanced = tiny(*overrides, folder="plain"), tiny(*overrides, balance, folder="balanced")
    rare = [record.results["target"]["accuracy_by_class"] for record in (plain, balanced)]
    before, after = (min(each["8"], each["9"]) for each in rare)
    assert after > before + 0.2
    assert balanced.results["target"]["balanced_accuracy"] > plain.results["target"]["balanced_accuracy"]
    group, _, key = balance.partition("=")[0].partition(".")
    assert balanced.config[group][key] == "balanced"


@pytest.mark.parametrize("balance", BOTH.values())
def test_a_target_of_numbers_refuses_balance_before_it_trains(balance, tiny, tmp_path):
    with pytest.raises(LandbridgeError, match=f"^{balance} balances .* and the target's task is regression: leave it"):
        tiny("source=noon_regression", "target=dusk_regression", "strategy=source_only", balance)
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("task.class_weight=balanced", "nearest: class_weights"),
        ("task.class_weights=balance", "'balance'"),
        ("data.sampler=balance", "'balance'"),
        ("data.sample=balanced", "nearest: sampler"),
    ],
)
def test_a_mistyped_setting_is_named(typed, hint, tiny):
    with pytest.raises(LandbridgeError, match=hint):
        tiny(typed)


def test_without_a_setting_of_the_task_the_fingerprint_is_that_of_earlier_versions(compose):
    from landbridge.record import fingerprint

    config = {"seed": 0, "task": {"_target_": "landbridge.tasks.TaskSettings"}}
    assert fingerprint(config, {}) == fingerprint({"seed": 0}, {})
    config["task"]["class_weights"] = "balanced"
    assert fingerprint(config, {}) != fingerprint({"seed": 0}, {})


def test_the_source_of_another_task_has_its_own_weights_or_refuses_balance(tiny):
    overrides = ["label_sets=different", "strategy=dann", "target_labels=all", "target._target_=imbalance.skewed"]
    own = ["source._target_=imbalance.skewed", "source.shift=0.2"]
    plain, weighted = tiny(*overrides, *own, folder="plain"), tiny(*overrides, *own, *BOTH.values(), folder="balanced")
    assert plain.epochs[0]["losses"]["supervised"] != weighted.epochs[0]["losses"]["supervised"]
    with pytest.raises(LandbridgeError, match=r"^task.class_weights=balanced balances .* source's task is regression"):
        tiny("source=noon_regression", *overrides, *BOTH.values())
