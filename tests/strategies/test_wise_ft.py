"""WiSE-FT: a curve from the initial to the fine-tuned model, scored by every selection rule."""

import pytest
import torch

from dusk import assert_exact_statistics
from landbridge.data.streams import StreamIndices
from landbridge.errors import LandbridgeError
from landbridge.run.checkpoints import Checkpoints
from landbridge.run.epochs import Epochs


def weights(folder, name="last.ckpt"):
    state = torch.load(folder / name, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("network.")}


def bare(weight):
    """Leave out the buffers of BatchNorm."""
    return {name: value for name, value in weight.items() if "running" not in name and "batches" not in name}


@pytest.fixture
def curve(tiny, tmp_path):
    """A function that runs a curve of three points after two epochs, and keeps the network of every epoch."""

    def launch(*overrides, folder="run"):
        seen = []
        keep = Checkpoints.keep

        def kept(self, trainer, preferred):
            seen.append({f"network.{k}": v.clone() for k, v in trainer.lightning_module.network.state_dict().items()})
            keep(self, trainer, preferred)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "keep", kept)
            record = tiny(
                *("strategy=wise_ft", "strategy.points=3", "start.max_epochs=2", f"start.cache={tmp_path / 'cache'}"),
                *("trainer.max_epochs=2", "target_labels=2", "optimizer.lr=0.03", *overrides),
                folder=folder,
            )
        return record, seen[-5:]  # the source model has epochs too

    return launch


def test_the_ends_are_the_two_models_and_the_middle_is_their_mean(curve, tmp_path):
    record, seen = curve()
    (source,) = (tmp_path / "cache").glob("*/last.ckpt")
    start, tuned = weights(source.parent), seen[1]
    assert [row["alpha"] for row in record.epochs] == [1.0, 1.0, 0.0, 0.5, 1.0]
    assert all(start[name].equal(seen[2][name]) for name in start if "batches" not in name)
    assert all(tuned[name].equal(seen[4][name]) for name in tuned)
    middle = bare(seen[3])
    for name, value in middle.items():
        torch.testing.assert_close(value, (start[name] + tuned[name]) / 2)
    assert not any(value.equal(start[name]) for name, value in middle.items() if name.endswith("weight"))
    # The scores at the end of the curve equal the scores at the end of training.
    ends = [{k: v for k, v in record.epochs[epoch]["scores"].items() if k != "last"} for epoch in (1, 4)]
    assert ends[0] == ends[1]
    assert [row["losses"] for row in record.epochs[2:]] == [{}, {}, {}]


def test_all_points_have_the_units_of_the_numbers(curve, tmp_path):
    _, seen = curve("source=noon_regression", "target=dusk_regression", "target_labels=8")
    (source,) = (tmp_path / "cache").glob("*/last.ckpt")
    units = {name: value for name, value in weights(source.parent).items() if ".units." in name}
    assert units["network.units.scale"][1] > 10  # the second number has a large unit
    assert all(epoch[name].equal(value) for epoch in seen for name, value in units.items())


@pytest.mark.parametrize("workers", [0, 1])
def test_further_epochs_read_no_training_batch(workers, curve, monkeypatch, tmp_path):
    curve(folder="source")  # this run trains the source model
    read = []
    size = StreamIndices._batch
    monkeypatch.setattr(StreamIndices, "_batch", lambda *step: read.append(step[1]) or size(*step))
    record, _ = curve(f"data.workers={workers}", folder="straight")
    assert read == ["target"] * 2 * 2  # two epochs of two steps
    assert len(record.epochs) == 5


def test_statistics_in_the_middle_are_measured_for_the_mean(curve):
    _, seen = curve("target_labels=all")
    assert_exact_statistics(seen[3])


def test_frozen_stages_do_not_change_and_the_configured_rule_chooses_the_point(curve, tmp_path):
    record, seen = curve("freeze.depth=1")
    assert all(each[name].equal(seen[0][name]) for each in seen for name in each if ".conv." in name)
    scores = [row["scores"]["target_val"] for row in record.epochs]
    best = max(range(5), key=lambda epoch: (scores[epoch], epoch))
    assert record.selection["epoch"] == best
    kept = weights(tmp_path / "run", record.selection["checkpoint"])
    assert all(kept[name].equal(seen[best][name]) for name in kept)


def test_with_lora_the_products_are_interpolated(curve):
    _, seen = curve("tuning=lora", "backbone.dropout=0")
    for name in seen[0]:
        if ".lora_B." in name:
            assert not seen[2][name].any()
            torch.testing.assert_close(seen[3][name], seen[4][name] / 2)
        if ".lora_A." in name:
            assert seen[3][name].equal(seen[4][name])


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_run_that_is_interrupted_on_the_curve_can_be_resumed(epoch, curve, tmp_path):
    straight, _ = curve(folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == epoch:
            raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            curve(folder="resumed")
    resumed, _ = curve(folder="resumed")
    assert resumed.results == straight.results
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "resumed")
    assert all(one[name].equal(other[name]) for name in one)


def test_a_start_without_a_head_is_refused(tiny):
    with pytest.raises(LandbridgeError, match="WiSEFT needs a source model: set start=source"):
        tiny("strategy=wise_ft", "start=scratch", "target_labels=2")
