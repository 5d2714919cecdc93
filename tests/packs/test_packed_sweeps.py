"""Sweeps whose jobs train in packs."""

import re
from pathlib import Path

import pytest

from landbridge.record import Record

FROZEN = ("freeze.depth=all", "cache=activations", "data.steps_per_epoch=3")


@pytest.fixture
def packed(sweep, tmp_path):
    """Return a function that runs a sweep of heads on frozen features in packs."""

    def typed(*arguments: str, pack: str = "auto") -> tuple[int, str]:
        return sweep(*FROZEN, f"cache.path={tmp_path / 'cache'}", f"hydra.launcher.pack={pack}", *arguments)

    return typed


def records() -> dict[str, Record]:
    return {
        str(record.config["optimizer"]["lr"]): record
        for record in map(Record.read, Path("sweep").glob("*/record.json"))
    }


def test_jobs_that_fit_train_in_a_pack_and_the_plan_says_why_others_do_not(packed, sweep):
    arguments = ("optimizer.lr=0.1,0.01", "strategy=source_only,bnm")
    _, told = packed(*arguments, "hydra.launcher.dry_run=true")
    assert not Path("sweep").exists()
    assert re.search(r"2 train in 1 pack\n +2 run alone: terms add other losses", told)
    code, told = packed("optimizer.lr=0.1,0.01,0.001")
    assert code == 0
    assert "3 train in 1 pack" in told
    assert re.search(r"3/3 done optimizer.lr=0.\d+  target accuracy", told)
    assert sorted(record.cost["pack"]["position"] for record in records().values()) == [0, 1, 2]
    for folder in Path("sweep").glob("[0-9a-f]*"):
        assert "test results" in (folder / "console.log").read_text()
        assert "optimizer.lr=" in " ".join(Record.read(folder).overrides)
        assert Record.read(folder).choices["strategy"] == "source_only"
    # The same jobs without packs are finished already.
    _, told = sweep(*FROZEN, "cache.path=elsewhere", "optimizer.lr=0.1,0.01,0.001")
    assert "3 finished already" in told


def test_a_pack_has_at_most_so_many_members(packed):
    _, told = packed("optimizer.lr=0.1,0.01,0.001", pack="2")
    assert re.search(r"2 train in 1 pack\n +1 run alone: no other job to run fits", told)
    notes = [record.cost.get("pack") for record in records().values()]
    assert sorted(note["members"] for note in notes if note) == [2, 2]


def test_a_member_that_fails_says_why_and_the_others_are_done(packed):
    code, told = packed("optimizer=sgd", "optimizer.lr=0.1,1e30,0.01")
    assert code == 1
    assert [record.status for _, record in sorted(records().items())] == ["done", "done", "failed"]
    assert "training diverged by step 3" in told
    assert told.count("lower optimizer.lr") == 2


@pytest.mark.parametrize("value", ["sometimes", "0", "true", "1.5"])
def test_another_value_is_refused(value, packed):
    code, told = packed("optimizer.lr=0.1,0.01", pack=value)
    assert code == 1
    assert re.search(r"hydra.launcher.pack=\w+.*: the value must be off, auto, or the largest number of jobs", told)
