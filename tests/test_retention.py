"""Retention: accuracy on both domains before and after a run that starts from a source model."""

import pytest
import torch

from landbridge.record import Record, read_arrays
from landbridge.run.checkpoints import LAST
from landbridge.run.evaluate import OUTPUTS
from landbridge.run.final_table import print_record


@pytest.fixture
def launch(tiny, tmp_path):
    def launched(*overrides, folder="run"):
        source = ("start=source", "start.max_epochs=8", f"start.cache={tmp_path / 'cache'}", "optimizer.lr=0.01")
        return tiny(*source, "backbone.dropout=0", "trainer.max_epochs=6", *overrides, folder=folder)

    return launched


def source_model(tmp_path):
    (path,) = (tmp_path / "cache").glob("*/record.json")
    return Record.read(path.parent), path.parent


@pytest.mark.parametrize("strategy", ["target_only", "adabn", "bn_adapt"])
def test_both_domains_are_tested_before_and_after_training(strategy, launch, tmp_path, capsys):
    labels = "all" if strategy == "target_only" else "0"
    record = launch(f"strategy={strategy}", f"target_labels={labels}")
    model, _ = source_model(tmp_path)
    source, target = record.results["source"], record.results["target"]
    assert source["accuracy_at_start"] == model.results["target"]["accuracy"]
    untouched = launch("strategy=as_is", folder="untouched")
    assert target["accuracy_at_start"] == untouched.results["target"]["accuracy"]
    assert untouched.results["target"]["accuracy_at_start"] == untouched.results["target"]["accuracy"]
    assert record.seal["source test"] == record.seal["target test"] == ["test"]
    print_record(record, tmp_path)
    printed = capsys.readouterr().out
    assert f"retention  {source['accuracy'] / source['accuracy_at_start']:.1%}" in printed
    assert f"changes by {target['accuracy'] - target['accuracy_at_start']:+.3f}" in printed


def test_a_source_model_that_is_only_adapted_is_the_model_of_its_reference(tiny, tmp_path, capsys):
    """With frozen stages, the model before the adaptation is that of `source_only` at the same freezing."""
    source = ("start=source", f"start.cache={tmp_path / 'models'}")
    seen = {}
    for depth in (0, 1):
        start = (f"freeze.depth={depth}", *source)
        for strategy, labels in (("as_is", 0), ("bn_adapt", 0), ("fine_tune", 2)):
            typed = (f"strategy={strategy}", f"target_labels={labels}", "transductive=true", *start)
            record = tiny(*typed, folder=f"{strategy}{depth}")
            seen[strategy, depth] = record.start["origin"], record.start["before"]
            if strategy == "as_is":
                print_record(record, tmp_path)
    printed = capsys.readouterr().out
    assert seen["as_is", 0] == seen["bn_adapt", 0] == seen["fine_tune", 0] == seen["fine_tune", 1]
    assert seen["as_is", 1] == seen["bn_adapt", 1] != seen["as_is", 0]
    assert printed.count("a source model, trained from random weights, with the freezing of this run") == 1
    tiny("freeze.depth=1", folder="source_only1")
    reference, model = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (tmp_path / "source_only1" / LAST, seen["as_is", 1][0])
    )
    frozen = [name for name in reference if name.startswith("network.backbone.conv")]
    assert frozen
    assert all(torch.equal(reference[name], model[name]) for name in frozen)


def test_the_results_after_training_are_those_of_the_trained_model(launch, tmp_path):
    record = launch("strategy=target_only", "target_labels=all", "target.shift=0.9", "trainer.max_epochs=20")
    for result in record.results.values():
        assert result["accuracy"] != result["accuracy_at_start"]
    kept = read_arrays(tmp_path / "run" / OUTPUTS)
    accuracy = (kept["source_logits"].argmax(1) == kept["source_labels"]).mean()
    assert record.results["source"]["accuracy"] == pytest.approx(accuracy)


def test_retention_of_a_checkpoint_needs_its_record_and_the_same_source(launch, tiny, tmp_path):
    launch("strategy=as_is")
    model, folder = source_model(tmp_path)
    begin = ["strategy=target_only", "target_labels=2", "start=checkpoint", f"start.path={folder / 'last.ckpt'}"]
    record = tiny(*begin, folder="one")
    assert record.results["source"]["accuracy_at_start"] == model.results["target"]["accuracy"]
    assert set(tiny(*begin, "source.shift=0.1", folder="other").results) == {"target"}
    (folder / "record.json").unlink()
    assert set(tiny(*begin, folder="bare").results) == {"target"}


def test_with_a_new_head_there_is_no_accuracy_at_start(tiny):
    record = tiny("strategy=source_only")
    assert "accuracy_at_start" not in record.results["target"]
