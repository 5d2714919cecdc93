"""Runs with `label_sets=different`: source and target have different tasks, and each has a head of its own."""

import math

import pytest
import torch
from test_every_strategy import EVERY, content, differences, setting, streams_and_facts  # noqa: F401

from landbridge.errors import LandbridgeError
from landbridge.heads import Linear
from landbridge.models.network import Network
from landbridge.run.checkpoints import LAST
from landbridge.run.final_table import print_record
from landbridge.strategies.terms import TERMS

from dusk import DuskNet  # isort: skip

#: The source has two numbers a sample, the target three classes.
NUMBERS_TO_CLASSES = ("source=noon_regression", "target=dusk", "label_sets=different")


@pytest.mark.parametrize("strategy", EVERY)
def test_every_strategy_trains_with_two_heads_or_is_refused(strategy, setting, compose, tiny):  # noqa: F811
    needs = streams_and_facts(compose("experiment=tiny", f"strategy={strategy}"))
    if strategy in ("ridge", "soup"):
        return  # ridge predicts numbers; a soup mixes runs on the same task
    overrides = setting(strategy, 2, *NUMBERS_TO_CLASSES)
    terms = [TERMS[name] for name in compose("experiment=tiny", f"strategy={strategy}").strategy.get("terms") or ()]
    serves = needs.separate_heads and all(term.separate_heads for term in terms)
    if not serves or "target" not in needs.all_streams:
        with pytest.raises(LandbridgeError, match="label_sets=different gives"):
            tiny(*overrides)
        return
    record = tiny(*overrides)
    assert math.isfinite(record.results["target"]["accuracy"])
    read = "source" in needs.streams or "start=source" in overrides
    assert ("source" in record.results) == read
    if read:
        assert math.isfinite(record.results["source"]["r2"])


def test_both_heads_train(tiny, tmp_path):
    tiny(*NUMBERS_TO_CLASSES, "strategy=dann", "strategy.hidden=4", "target_labels=2")
    network = content(tmp_path / "run")["state_dict"]
    assert network["network.head.weight"].shape[0] == 3
    assert network["network.source.head.weight"].shape[0] == 2
    assert bool(network["network.source.units.are_set"])


def test_a_step_on_one_domain_leaves_the_head_of_the_other():
    network = Network(DuskNet(), 3)
    network.add_source_head(2, Linear, has_units=True)
    x = torch.rand(4, 1, 28, 28)
    network(x)[1].sum().backward()
    assert network.source.head.weight.grad is None
    assert network.head.weight.grad is not None
    network.zero_grad()
    network.for_source(x)[1].sum().backward()
    assert network.head.weight.grad is None
    assert network.source.head.weight.grad is not None


def test_a_start_transfers_the_backbone_and_the_source_keeps_its_head(tiny, tmp_path, capsys):
    start = ("start=source", "start.max_epochs=2", f"start.cache={tmp_path / 'cache'}")
    record = tiny(*NUMBERS_TO_CLASSES, "strategy=fine_tune", "target_labels=2", *start)
    (model,) = (tmp_path / "cache").glob("*/last.ckpt")
    trained, before = content(tmp_path / "run")["state_dict"], content(model.parent)["state_dict"]
    assert torch.equal(trained["network.source.head.weight"], before["network.head.weight"])
    assert not torch.equal(trained["network.backbone.conv.0.weight"], before["network.backbone.conv.0.weight"])
    assert trained["network.head.weight"].shape[0] == 3
    assert record.start["initialised"] == ["head.weight", "head.bias"]
    assert "r2_at_start" in record.results["source"]
    assert "accuracy_at_start" not in record.results["target"]
    print_record(record, tmp_path)
    printed = capsys.readouterr().out
    assert "of the source's r2 is kept" in printed
    assert "the target's changes" not in printed


def test_classes_of_another_number_keep_their_metrics(tiny):
    record = tiny("target.classes=[fog,mist,rain]", "label_sets=different", "strategy=coral", "target_labels=2")
    assert record.data["source"]["classes"] == ["bar", "beam", "cross"]
    assert record.data["target"]["classes"] == ["fog", "mist", "rain"]
    assert {"source_val", "target_val"} <= record.epochs[0]["scores"].keys()
    assert "dev" not in record.epochs[0]["scores"]


def test_garbage_in_hidden_labels_changes_no_weight(tiny, tmp_path):
    overrides = (*NUMBERS_TO_CLASSES, "strategy=dann", "strategy.hidden=4", "target_labels=2")
    tiny(*overrides, folder="honest")
    tiny(*overrides, "target._target_=dusk.lying", "target.budget=2", folder="garbage")
    assert not differences(content(tmp_path / "honest", LAST), content(tmp_path / "garbage", LAST))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["strategy=source_only"], "strategy SourceOnly needs one head for source and target"),
        (["strategy=mcd"], "strategy MCD needs one head"),
        (["strategy=dann", "target_labels=0"], "only visible target labels can train"),
        (["strategy=dann", "target_labels=2", "terms=[swd]"], "terms: swd needs one head"),
        (["strategy=dann", "target_labels=2", "selection=dev"], "selection=dev needs one head"),
    ],
)
def test_what_needs_one_head_is_refused(overrides, message, tiny, tmp_path):
    with pytest.raises(LandbridgeError, match=message):
        tiny("source=noon_regression", "target=dusk", "label_sets=different", *overrides)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_different_tasks_point_to_the_setting(tiny):
    with pytest.raises(LandbridgeError, match="label_sets=different gives each a head of its own"):
        tiny("source=noon_regression", "target=dusk", "strategy=source_only")
