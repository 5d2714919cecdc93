"""Training stops early after `patience` epochs without a better score of the selection rule."""

from pathlib import Path

import pytest
import torch

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, Record
from landbridge.run.epochs import Epochs
from landbridge.selection import Entropy

#: The scores of the epochs. The second is the best one.
SCORES = (0.1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.9)


@pytest.fixture
def scored(monkeypatch):
    monkeypatch.setattr(Entropy, "score", lambda self, evidence: SCORES[evidence.epoch])


RUN = ("selection=entropy", "trainer.max_epochs=7", "data.steps_per_epoch=1")


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (4, 6), (5, 7), (20, 7)])
def test_training_stops_after_so_many_epochs_without_a_better_score(patience, epochs, tiny):
    record = tiny(*RUN, f"patience={patience}")
    assert len(record.epochs) == epochs
    assert record.selection["epoch"] == (1 if epochs < 7 else 6)
    assert record.selection.get("stopped_early") == (epochs if epochs < 7 else None)
    assert tiny(*RUN, f"patience={patience}").results == record.results  # a finished run is not continued


@pytest.mark.usefixtures("scored")
def test_a_run_that_is_killed_after_it_stopped_early_does_not_train_on(tiny, tmp_path):
    straight = tiny(*RUN, "patience=2", folder="straight")

    def stop(*arguments):
        raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landbridge.run.run.choose_epoch", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*RUN, "patience=2", folder="resumed")
    assert Record.read(tmp_path / "resumed" / RECORD).status == "failed"
    resumed = tiny(*RUN, "patience=2", folder="resumed")
    assert len(resumed.epochs) == 4
    assert (resumed.selection, resumed.results) == (straight.selection, straight.results)


@pytest.mark.usefixtures("scored")
def test_a_run_that_is_killed_before_continues_to_count(tiny, tmp_path):
    straight = tiny(*RUN, "patience=3", folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 3:
            raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*RUN, "patience=3", folder="resumed")
    resumed = tiny(*RUN, "patience=3", folder="resumed")
    assert len(resumed.epochs) == len(straight.epochs) == 5
    one, other = (torch.load(tmp_path / each / "last.ckpt", weights_only=True) for each in ("straight", "resumed"))
    assert all(value.equal(other["state_dict"][name]) for name, value in one["state_dict"].items())


@pytest.mark.parametrize("rule", ["last", "oracle"])
def test_a_rule_without_a_preference_during_training_is_refused(rule, tiny):
    with pytest.raises(LandbridgeError, match=f"patience=2 needs a selection rule.*selection={rule} does not"):
        tiny("patience=2", f"selection={rule}")


def test_versions_of_a_trained_model_need_all_epochs(tiny, tmp_path):
    start = ("start=source", "start.max_epochs=1", f"start.cache={Path(tmp_path) / 'sources'}")
    with pytest.raises(LandbridgeError, match="patience=1: strategy WiSEFT evaluates versions"):
        tiny("strategy=wise_ft", "target_labels=2", "selection=entropy", "patience=1", *start)
