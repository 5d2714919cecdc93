"""Runs whose seeds have splits of their own: what they share, and what would show a run the test samples of another."""

from pathlib import Path

import pytest

from landbridge.errors import LandbridgeError
from landbridge.record import unpack_items
from landbridge.report.names import name_apart
from landbridge.report.runs import Run
from raw_labels import TRUTH

TARGET = ("target=raw_images", f"target.labels={TRUTH[3]}")


def test_seeds_test_different_samples_of_one_domain(tiny):
    records = [tiny(*TARGET, f"seed={seed}", folder=str(seed)) for seed in (0, 1)]
    data = [record.data["target"] for record in records]
    assert data[0]["samples"] == data[1]["samples"]
    assert [each["design"]["splits"]["seed"] for each in data] == [0, 1]
    tests = [set(unpack_items(record.results["target"])) for record in records]
    assert tests[0] != tests[1]
    assert all(len(each) == 12 for each in tests)


def test_a_run_does_not_go_on_from_weights_that_have_seen_its_test_samples(tiny, tmp_path):
    tiny(*TARGET, "strategy=target_only", "target_labels=all", folder="first")
    start = ("start=checkpoint", f"start.path={tmp_path / 'first' / 'last.ckpt'}", "strategy=target_only")
    labels = "target_labels=all"
    with pytest.raises(LandbridgeError, match=r"first was trained on raw_images as its target in other splits"):
        tiny(*TARGET, *start, labels, "seed=1", folder="other")
    assert tiny(*TARGET, *start, labels, "seed=1", "target.split_seed=0", folder="same").status == "done"
    soup = ("strategy=soup", f"strategy.folder={tmp_path / 'first'}", labels)
    with pytest.raises(LandbridgeError, match="in other splits"):
        tiny(*TARGET, *soup, "seed=1", folder="soup")


def pairs(*records):
    runs = [Run(Path("made"), record) for record in records]
    name_apart(runs)
    return [run.pair.target for run in runs]


def test_a_report_takes_the_splits_of_several_seeds_for_one_domain(tiny):
    follow = [tiny(*TARGET, f"seed={seed}", folder=str(seed)) for seed in (0, 1)]
    assert pairs(*follow) == ["raw_images"] * 2
    fixed = tiny(*TARGET, "seed=1", "target.split_seed=0", folder="fixed")
    assert len(set(pairs(*follow, fixed))) == 2
