"""A run that continues a finished run with more epochs names its parent, and equals a longer run where it can."""

import logging
import math
from pathlib import Path

import pytest
import torch

from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.run.checkpoints import LAST, SELECTED
from strategies.test_every_strategy import content, differences
from test_run import stop_after


@pytest.mark.parametrize(
    "setting",
    [
        ("strategy=mcd",),
        ("strategy=source_only", "averaging=ema", "selection=source_val"),
        ("strategy=source_only", "selection._target_=test_run.Second", "checkpoint_every=1000"),
        ("strategy=shot", "start=source"),
    ],
    ids=lambda setting: setting[0],
)
def test_without_a_schedule_the_run_equals_a_longer_one(setting, tiny, tmp_path):
    own = [f"start.cache={tmp_path / 'models'}"] if "start=source" in setting else []
    more = [*setting, *own]
    if "start=source" in setting:
        more.append("start.max_epochs=2")
    straight = tiny(*more, "trainer.max_epochs=4", folder="straight")
    parent = tiny(*more, "trainer.max_epochs=2", folder="parent")
    longer = tiny(*more, "trainer.max_epochs=4", f"continues={tmp_path / 'parent'}", folder="longer")
    assert not differences(content(tmp_path / "longer"), content(tmp_path / "straight"))
    assert not differences(longer.epochs, straight.epochs)
    assert (longer.results, longer.selection) == (straight.results, straight.selection)
    assert longer.fingerprint not in (straight.fingerprint, parent.fingerprint)
    assert longer.parent is not None
    assert longer.parent["fingerprint"] == parent.fingerprint
    assert longer.parent["epochs"] == 2
    assert longer.cost["seconds"] > parent.cost["seconds"]
    # The parent stays as it was, and its child is a finished run.
    assert tiny(*more, "trainer.max_epochs=2", folder="parent") == Record.read(tmp_path / "parent")
    assert torch.load(tmp_path / "parent" / LAST, weights_only=True)["epoch"] == 1


def test_a_continued_run_can_be_interrupted_and_continued_again(tiny, tmp_path):
    straight = tiny("trainer.max_epochs=6", folder="straight")
    tiny("trainer.max_epochs=2", folder="2")
    typed = ("trainer.max_epochs=4", f"continues={tmp_path / '2'}")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tiny(*typed, folder="4")
    assert len(Record.read(tmp_path / "4").epochs) == 3
    tiny(*typed, folder="4")
    last = tiny("trainer.max_epochs=6", f"continues={tmp_path / '4'}", folder="6")
    assert last.results == straight.results
    assert not differences(last.epochs, straight.epochs)
    assert last.parent is not None
    assert (last.parent["epochs"], last.parent["epochs_at_source"]) == (4, 2)


def test_the_source_model_is_the_one_of_the_parent(tiny, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    shot = ("strategy=shot", "start=source", f"start.cache={tmp_path / 'models'}")
    tiny(*shot, "trainer.max_epochs=1", folder="parent")
    tiny(*shot, "trainer.max_epochs=2", f"continues={tmp_path / 'parent'}", folder="longer")
    assert len(list((tmp_path / "models").iterdir())) == 1


RATES = "optimizer._target_=test_more_epochs.Rates"


class Rates(torch.optim.SGD):
    """SGD that writes the learning rate of each step."""

    def step(self, closure=None):
        with Path("rates.txt").open("a") as file:
            file.write(f"{self.param_groups[0]['lr']}\n")
        return super().step(closure)


def test_the_learning_rate_goes_by_the_new_plan_from_the_first_step_on(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cosine = ("scheduler=cosine", "scheduler.warmup=0", "optimizer=sgd", "optimizer.lr=0.1", RATES)
    tiny(*cosine, "trainer.max_epochs=2", folder="parent")
    longer = tiny(*cosine, "trainer.max_epochs=4", f"continues={tmp_path / 'parent'}", folder="longer")
    assert longer.status == "done"
    rates = [content(tmp_path / each)["optimizer_states"][0]["param_groups"][0]["lr"] for each in ("parent", "longer")]
    assert rates == pytest.approx([0.0, 0.0], abs=1e-12)
    used = [float(line) for line in Path("rates.txt").read_text().split()]
    plans = [(step, 4) for step in range(4)] + [(step, 8) for step in range(4, 8)]
    assert used == pytest.approx([0.05 * (1 + math.cos(math.pi * step / steps)) for step, steps in plans])
    assert longer.epochs[2]["losses"] != longer.epochs[3]["losses"], "the third epoch must train"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            ("optimizer.lr=0.5",),
            r"only trainer.max_epochs may differ from that run, but optimizer.lr is .* and 0.5 here",
        ),
        (("seed=3",), "seed is 0 there and 3 here; to train its weights with other settings, set start=checkpoint"),
        (("target.n=66",), "target.n is "),
        (("trainer.max_epochs=2",), "trainer.max_epochs=2 counts all epochs, and this run has 2: set more"),
        (("continues=nowhere",), "continues=nowhere: no record at nowhere"),
    ],
)
def test_what_cannot_be_continued_is_refused(typed, message, tiny, tmp_path):
    tiny("trainer.max_epochs=2", folder="parent")
    with pytest.raises(LandbridgeError, match=message):
        tiny("trainer.max_epochs=4", f"continues={tmp_path / 'parent'}", *typed)


def test_a_policy_that_divides_the_planned_epochs_is_refused(tiny, tmp_path):
    tiny("freeze=linear_then_full", "trainer.max_epochs=2", folder="parent")
    with pytest.raises(LandbridgeError, match="the freezing policy divides the planned epochs"):
        tiny("freeze=linear_then_full", "trainer.max_epochs=4", f"continues={tmp_path / 'parent'}")
    tiny("strategy=wise_ft", "target_labels=all", "strategy.points=2", "start=checkpoint",
         f"start.path={tmp_path / 'parent' / LAST}", folder="curve")  # fmt: skip
    with pytest.raises(LandbridgeError, match="the last epoch of this run is not one of training"):
        tiny("trainer.max_epochs=4", f"continues={tmp_path / 'curve'}")
    assert not (tmp_path / "run" / SELECTED).exists()
