"""Averages over steps and epochs replace the weights in validation, checkpoints and the test."""

import pytest
import torch

from dusk import assert_exact_statistics
from landbridge.errors import LandbridgeError
from landbridge.run.epochs import Epochs
from landbridge.strategies.base import Strategy


def content(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.fixture
def weights_on_the_way(monkeypatch):
    """The parameters that train, recorded in every step."""
    seen = []
    count = Strategy.count_step

    def counted(self, terms):
        seen.append({name: value.detach().clone() for name, value in self.named_parameters()})
        count(self, terms)

    monkeypatch.setattr(Strategy, "count_step", counted)
    return seen  # each is recorded before the step of the optimizer, so the first are the initial parameters


def parameters(state, like):
    return {name: state[name] for name in like}


@pytest.mark.parametrize("start", [0, 1])
def test_swa_is_the_mean_over_epochs_with_its_own_statistics(start, tiny, tmp_path, weights_on_the_way):
    overrides = ["strategy=target_only", "target_labels=all", "optimizer.lr=0.01", "trainer.max_epochs=4"]
    tiny(*overrides, "averaging=swa", f"averaging.start={start}")
    kept = content(tmp_path / "run")
    last = kept["current_model_state"]
    ends = [weights_on_the_way[step] for step in (2, 4, 6)] + [parameters(last, weights_on_the_way[0])]
    for name, value in parameters(kept["state_dict"], ends[0]).items():
        torch.testing.assert_close(value, sum(end[name] for end in ends[start:]) / (4 - start))
    assert_exact_statistics(kept["state_dict"])


def test_ema_is_the_moving_average_of_the_weights(tiny, tmp_path, weights_on_the_way):
    tiny("optimizer.lr=0.01", "trainer.max_epochs=3", "averaging=ema", "averaging.decay=0.3")
    kept = content(tmp_path / "run")
    after = [*weights_on_the_way[1:], parameters(kept["current_model_state"], weights_on_the_way[0])]
    expected = after[0]
    for number, new in enumerate(after[1:], start=1):
        decay = min(0.3, (1 + number) / (10 + number))
        expected = {name: decay * expected[name] + (1 - decay) * new[name] for name in new}
    for name, value in expected.items():
        torch.testing.assert_close(kept["state_dict"][name], value, atol=1e-6, rtol=1e-5)
    assert not any(value.isnan().any() for value in kept["state_dict"].values() if value.is_floating_point())


@pytest.mark.parametrize("average", ["averaging.decay=0.5", "averaging.start=1"])
def test_averaging_does_not_change_training_and_the_scored_average_is_saved(average, tiny, tmp_path):
    kind = "ema" if "decay" in average else "swa"
    overrides = ["trainer.max_epochs=3", "optimizer.lr=0.01", "selection=source_val"]
    tiny(*overrides, folder="plain")
    record = tiny(*overrides, f"averaging={kind}", average, folder="averaged")
    plain, averaged = content(tmp_path / "plain")["state_dict"], content(tmp_path / "averaged")
    assert all(plain[name].equal(averaged["current_model_state"][name]) for name in plain)
    again = tiny(
        *("strategy=as_is", "start=checkpoint", f"start.path={tmp_path / 'averaged' / record.selection['checkpoint']}"),
        folder="again",
    )
    assert again.results["target"]["nll"] == pytest.approx(record.results["target"]["nll"], rel=1e-5)


@pytest.mark.parametrize(("average", "strategy"), [("ema", "mcd"), ("swa", "dann")])
def test_a_resumed_run_equals_an_uninterrupted_one(average, strategy, tiny, tmp_path):
    overrides = [f"averaging={average}", f"strategy={strategy}", "trainer.max_epochs=3", "optimizer.lr=0.01"]
    straight = tiny(*overrides, folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 2:
            raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*overrides, folder="resumed")
    assert tiny(*overrides, folder="resumed").results == straight.results
    one, other = content(tmp_path / "straight"), content(tmp_path / "resumed")
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert all(one[part][name].equal(other[part][name]) for name in one[part])


@pytest.mark.parametrize("strategy", ["nearest_mean", "wise_ft", "as_is"])
def test_averaging_a_strategy_that_sets_its_weights_is_refused(strategy, tiny, tmp_path):
    start = ["start=source", "start.max_epochs=1", f"start.cache={tmp_path}", "target_labels=2"]
    with pytest.raises(LandbridgeError, match="sets its weights itself; use averaging=none"):
        tiny(f"strategy={strategy}", "averaging=ema", *start)
