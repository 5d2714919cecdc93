"""Runs whose target lacks classes of the source, or has classes that the source lacks."""

import pytest
import torch

from landbridge.errors import LandbridgeError

UNLABELLED = ("strategy=dann", "strategy.hidden=4", "target_labels=0")


def test_an_open_set_run_counts_unknown_samples_as_wrong(tiny):
    record = tiny("strategy=source_only", "label_sets=universal", "target.classes=[bar,blob,beam]")
    scores = record.results["target"]
    assert scores["unknown"] == 4
    assert scores["n"] == 12
    assert scores["accuracy"] <= 8 / 12


def test_partial_classes_are_scored_in_the_classes_of_the_source(tiny):
    wide = tiny("strategy=source_only", folder="wide")
    partial = tiny("strategy=source_only", "label_sets=partial", folder="partial")
    # The same classes are also a part of them.
    assert partial.results["target"] == wide.results["target"]


@pytest.mark.parametrize("budget", ["0", "2", "all"])
def test_unknown_classes_do_not_train(budget, tiny, weights):
    """Which classes the target has is hidden. So with no labels, any list of them leads to the same weights."""
    overrides = (*UNLABELLED[:2], f"target_labels={budget}", "label_sets=universal")
    one = tiny(*overrides, "target.classes=[bar,blob,cross]", folder="one")
    other = tiny(*overrides, "target.classes=[bar,fog,cross]", folder="other")
    assert one.results["target"]["unknown"] == other.results["target"]["unknown"] == 4
    same(weights("one"), weights("other"))


def test_with_no_labels_no_list_of_classes_changes_the_weights(tiny, weights):
    lists = {"one": "[bar,blob,cross]", "other": "[fog,mist,beam]", "all": "[cross,bar,beam]"}
    for folder, classes in lists.items():
        tiny(*UNLABELLED, "label_sets=universal", f"target.classes={classes}", folder=folder)
    same(weights("one"), weights("other"))
    same(weights("one"), weights("all"))


def test_a_target_without_labels_refuses_classes_that_the_source_lacks(tiny):
    with pytest.raises(LandbridgeError, match=r"only the target has blob.*label_sets=universal"):
        tiny("strategy=source_only", "target.classes=[bar,blob,cross]")


def test_label_sets_need_a_source(tiny):
    with pytest.raises(LandbridgeError, match="label_sets=open needs a source domain"):
        tiny("strategy=fine_tune", "source=null", "label_sets=open", "target_labels=2")


@pytest.fixture
def weights(tmp_path):
    """Return the weights that the run in a folder ended with."""

    def read(folder: str) -> dict[str, torch.Tensor]:
        (path,) = (tmp_path / folder).rglob("last.ckpt")
        return torch.load(path, weights_only=True)["state_dict"]

    return read


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
