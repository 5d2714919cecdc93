"""Runs whose seeds have splits of their own: what they share, and what would show a run the test samples of another."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from landbridge.data.inputs import TensorInputs
from landbridge.data.sources.union import union
from landbridge.data.split_domain import split_domain
from landbridge.errors import LandbridgeError
from landbridge.record import Record, unpack_items
from landbridge.report.names import name_apart
from landbridge.report.runs import Run
from landbridge.run.overlaps import require_same_splits
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


N = 60
WRITERS = [str(number // 5) for number in range(N)]


def split(seed=0, **settings):
    """Make a domain of 60 vectors; equal samples with other settings have other splits."""
    inputs = TensorInputs(torch.arange(N).float().unsqueeze(1))
    return split_domain("zoo", ("ant", "bee"), inputs, torch.arange(N) % 2, seed=seed, **settings)


def other():
    inputs = TensorInputs(torch.arange(N, 2 * N).float().unsqueeze(1))
    return split_domain("park", ("ant", "bee"), inputs, torch.arange(N) % 2)


GIVEN = dict(zip(("train", "test"), torch.arange(N).split(40), strict=True))


@pytest.mark.parametrize(
    ("earlier", "now", "refused"),
    [
        (split(), split(), False),
        (split(), other(), False),
        (split(), split(seed=1), True),
        (split(), split(groups=WRITERS), True),
        (split(), split(given=GIVEN), True),
        (split(given=GIVEN), split(given=GIVEN, seed=1), False),  # another validation split alone
        (split(), split(prior=[1, 2], seed=1), True),
        (split(prior=[1, 2]), split(prior=[2, 1], seed=1), True),
        (split(prior=[1, 2]), split(prior=[1, 2]), False),
        (union({"a": split(), "b": other()}), split(), False),
        (union({"a": split(), "b": other()}), split(seed=1), True),
        (split(prior=3), union({"a": other(), "b": split(seed=1)}), True),
    ],
)
def test_weights_are_refused_exactly_if_the_same_samples_are_in_other_splits(earlier, now, refused):
    seen = {*earlier.splits["train"].inputs.hashes()} & {*now.splits["test"].inputs.hashes()}
    assert bool(seen) == refused
    records = {Path("earlier"): Record(data={"source": json.loads(json.dumps(earlier.summary()))})}
    with pytest.raises(LandbridgeError, match="earlier was trained on") if refused else nullcontext():
        require_same_splits(records, now)


def test_a_record_of_an_older_version_says_nothing_about_splits():
    data = {key: value for key, value in split().summary().items() if key not in ("samples", "tested", "design")}
    require_same_splits({Path("earlier"): Record(data={"target": data})}, split(seed=1))


def pairs(*records):
    runs = [Run(Path("made"), record) for record in records]
    name_apart(runs)
    return [run.pair.target for run in runs]


def test_a_report_takes_the_splits_of_several_seeds_for_one_domain(tiny):
    follow = [tiny(*TARGET, f"seed={seed}", folder=str(seed)) for seed in (0, 1)]
    assert pairs(*follow) == ["raw_images"] * 2
    fixed = tiny(*TARGET, "seed=1", "target.split_seed=0", folder="fixed")
    assert len(set(pairs(*follow, fixed))) == 2
