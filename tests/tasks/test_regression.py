"""Regression against scikit-learn, with missing numbers; and the units that a network's outputs are in."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import approximately, in_batches
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from landbridge.data.formats import VectorFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import Identity
from landbridge.models.network import Network
from landbridge.tasks import Regression

TWO = Regression(("temperature", "pressure"))
seeds = st.integers(0, 2**31)


def problem(n: int, seed: int, missing: float = 0.0, far: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw outputs and labels (n, 2), some of which are missing."""
    generator = torch.Generator().manual_seed(seed)
    y = far + torch.tensor([1.0, 50.0]) * torch.randn(n, 2, generator=generator)
    outputs = y + torch.randn(n, 2, generator=generator)
    y[torch.rand(n, 2, generator=generator) < missing] = math.nan
    return outputs, y


@given(st.integers(8, 80), seeds, st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 1e4]))
@settings(max_examples=60, deadline=None)
def test_metrics_equal_those_of_scikit_learn(n, seed, missing, far):
    outputs, y = problem(n, seed, missing, far)
    y[:2] = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    found = TWO.judge(outputs, y)
    seen = [~np.isnan(y[:, j].numpy()) for j in range(2)]
    pairs = [(y[s, j].double().numpy(), outputs[s, j].double().numpy()) for j, s in enumerate(seen)]
    r2, mae, rmse = (
        [score(*pair) for pair in pairs] for score in (r2_score, mean_absolute_error, root_mean_squared_error)
    )
    assert found["n"] == n
    assert found["r2"] == pytest.approx(np.mean(r2), abs=1e-6, rel=1e-6)
    assert found["mae"] == pytest.approx(np.mean(mae), abs=1e-6, rel=1e-6)
    assert found["rmse"] == pytest.approx(np.mean(rmse), abs=1e-6, rel=1e-6)
    assert found["r2_by_name"] == pytest.approx(dict(zip(TWO.names, r2, strict=True)), abs=1e-6)
    assert found["mae_by_name"] == pytest.approx(dict(zip(TWO.names, mae, strict=True)), abs=1e-6)
    assert found["undefined"] == []


@given(st.integers(2, 60), seeds, st.data())
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_give_the_same_metrics(n, seed, data):
    outputs, y = problem(n, seed, missing=0.2, far=1e3)
    assert in_batches(TWO, outputs, y, data) == approximately(TWO.judge(outputs, y))


@pytest.mark.parametrize("constant", [7.0, math.nan])
def test_a_number_without_spread_is_named_and_counts_in_no_mean(constant):
    outputs, y = problem(30, 0)
    y[:, 1] = constant
    found = TWO.judge(outputs, y)
    assert found["undefined"] == ["pressure"]
    assert found["r2_by_name"].keys() == {"temperature"}
    assert found["r2"] == found["r2_by_name"]["temperature"] == pytest.approx(r2_score(y[:, 0], outputs[:, 0]))
    assert len(found["mae_by_name"]) == 1 + math.isfinite(constant)


def test_without_any_spread_nothing_is_defined_and_nothing_warns():
    found = TWO.judge(torch.zeros(3, 2), torch.full((3, 2), math.nan))
    assert all(math.isnan(found[metric]) for metric in ("r2", "mae", "rmse"))
    assert math.isnan(TWO.score(torch.zeros(3, 2), torch.full((3, 2), math.nan)))
    assert found["undefined"] == ["temperature", "pressure"]


@given(st.integers(2, 40), seeds)
@settings(max_examples=40, deadline=None)
def test_outputs_for_hidden_numbers_change_nothing(n, seed):
    outputs, y = problem(n, seed, missing=0.4)
    spoiled = torch.where(y.isnan(), 1e6 * torch.randn(n, 2), outputs).requires_grad_()
    scale = torch.tensor([2.0, 30.0])
    assert torch.equal(TWO.losses(spoiled, y, scale), TWO.losses(outputs, y, scale))
    assert torch.equal(TWO.sample_scores(spoiled, y).nan_to_num(9), TWO.sample_scores(outputs, y).nan_to_num(9))
    assert TWO.judge(spoiled.detach(), y) == approximately(TWO.judge(outputs, y))
    assert TWO.score(spoiled.detach(), y) == pytest.approx(TWO.score(outputs, y), nan_ok=True)
    TWO.loss(spoiled, y, scale).backward()
    assert not spoiled.grad[y.isnan()].any()
    assert spoiled.grad.isfinite().all()


def test_losses_and_scores_are_those_of_their_definitions():
    outputs, y = torch.tensor([[1.0, 2.0], [3.0, 8.0]]), torch.tensor([[0.0, 4.0], [5.0, math.nan]])
    assert TWO.losses(outputs, y).tolist() == [(1 + 4) / 2, 4]
    assert TWO.losses(outputs, y, torch.tensor([2.0, 4.0])).tolist() == [(1 / 4 + 4 / 16) / 2, 1]
    assert TWO.loss(outputs, y).item() == pytest.approx((2.5 + 4) / 2)
    # Errors are 1 and 2, and 2; the first number has the standard deviation 2.5, the second does not vary.
    assert TWO.sample_scores(outputs, y).tolist() == pytest.approx([-(1 / 2.5 + 2) / 2, -2 / 2.5])
    assert Regression(("age",)).sample_scores(outputs[:, :1], y[:, :1]).tolist() == [-1, -2]


@given(st.integers(3, 40), seeds)
@settings(max_examples=30, deadline=None)
def test_units_are_mean_and_standard_deviation_of_visible_numbers(n, seed):
    _, y = problem(n, seed, missing=0.3, far=1e3)
    y[0] = 0.0
    centre, scale = TWO.units(y)
    values = y.double().numpy()
    assert centre.numpy() == pytest.approx(np.nanmean(values, 0), rel=1e-6)
    deviation = np.nanstd(values, 0)
    assert scale.numpy() == pytest.approx(np.where(deviation > 0, deviation, 1), rel=1e-5)


def test_units_of_numbers_that_are_equal_or_missing_are_1():
    centre, scale = TWO.units(torch.tensor([[5.0, math.nan], [5.0, math.nan]]))
    assert (centre.tolist(), scale.tolist()) == ([5, 0], [1, 1])


def test_outputs_of_a_network_are_in_the_units_of_the_data_once_they_are_set():
    torch.manual_seed(0)
    network, plain = Network(Identity((5,)), 2, has_units=True), Network(Identity((5,)), 2)
    plain.load_state_dict(network.state_dict(), strict=False)
    (x,) = VectorFormat(5).example(4, torch.Generator().manual_seed(1))
    assert torch.equal(network(x)[1], plain(x)[1])
    network.units.set(torch.tensor([10.0, -3.0]), torch.tensor([2.0, 5.0]))
    torch.testing.assert_close(network(x)[1], torch.tensor([10.0, -3.0]) + torch.tensor([2.0, 5.0]) * plain(x)[1])
    assert network.state_dict()["units.are_set"]
    assert not [name for name in plain.state_dict() if name.startswith("units")]


def test_labels_have_a_column_for_each_number():
    one = Regression(("age",))
    assert one.to_labels(torch.arange(3)).tolist() == [[0], [1], [2]]
    assert TWO.to_labels(torch.zeros(3, 2, dtype=torch.float64)).dtype == torch.float32
    with pytest.raises(ValueError, match=r"numbers are \(n, 2\), not \(3, 1\)"):
        TWO.to_labels(torch.zeros(3))
    assert "r2_by_name" not in one.judge(torch.randn(5, 1), torch.randn(5, 1))
    assert (one.outputs, one.leading, one.has_units) == (1, "r2", True)


def test_strata_are_tenths_of_the_first_number():
    y = torch.stack([torch.randperm(200).float(), torch.zeros(200)], 1)
    assert TWO.strata(y).bincount().tolist() == [20] * 10
    assert (TWO.strata(y)[y[:, 0].argsort()].diff() >= 0).all()
    y[:50, 0] = math.nan
    assert TWO.strata(y).shape == (200,)


@given(st.integers(1, 200), seeds)
@settings(max_examples=40, deadline=None)
def test_strata_have_the_edges_of_torch_quantile(n, seed):
    _, y = problem(n, seed, missing=0.2)
    y[0] = 1.0
    first = y[:, 0].double()
    edges = torch.quantile(first[~first.isnan()], torch.linspace(0.1, 0.9, 9, dtype=torch.double))
    assert torch.equal(TWO.strata(y), torch.bucketize(first.nan_to_num(), edges))


def test_strata_without_any_first_number_are_one_stratum():
    assert TWO.strata(torch.tensor([[math.nan, 1.0], [math.nan, 2.0]])).tolist() == [0, 0]


@pytest.mark.slow
def test_strata_of_more_numbers_than_torch_quantile_takes():
    y = torch.arange(2**24 + 100).flip(0).float()[:, None]
    assert Regression(("age",)).strata(y).bincount().tolist() == pytest.approx([(2**24 + 100) / 10] * 10, abs=1)


def test_the_number_with_the_largest_unit_does_not_decide_the_scores_of_samples():
    outputs, y = problem(50, 4, missing=0.2)
    scores = TWO.sample_scores(outputs, y)
    scaled = TWO.sample_scores(outputs * torch.tensor([1.0, 1000.0]), y * torch.tensor([1.0, 1000.0]))
    torch.testing.assert_close(scaled.nan_to_num(9), scores.nan_to_num(9), rtol=1e-5, atol=1e-6)


def test_a_budget_counts_samples_that_have_a_label():
    y, order = torch.randn(20, 2), torch.randperm(20)
    y[order[:3]] = math.nan
    y[order[3], 0] = math.nan
    taken = TWO.within(y, 4, order, False, "zoo")
    assert taken.nonzero().flatten().tolist() == sorted(order[3:7].tolist())
    with pytest.raises(
        LandbridgeError, match="=18: zoo has only 17 samples with a label; ask for at most 17 or for all"
    ):
        TWO.within(y, 18, order, False, "zoo")
    assert (
        int(TWO.within(y, 18, order, True, "zoo").sum()) == int(TWO.within(y, "all", order, False, "zoo").sum()) == 17
    )
    # Hidden labels could be replaced by any others, and the same would be shown.
    lying = torch.where(taken[:, None] | y.isnan().all(1, keepdim=True), y, 1e6)
    assert torch.equal(TWO.within(lying, 4, order, False, "zoo"), taken)


def test_a_budget_is_a_number_of_samples_and_does_not_depend_on_labels():
    order = torch.randperm(20)
    first = TWO.within(torch.randn(20, 2), 6, order, False, "zoo")
    assert torch.equal(first, TWO.within(torch.randn(20, 2), 6, order, False, "zoo"))
    assert first.nonzero().flatten().tolist() == sorted(order[:6].tolist())
    with pytest.raises(LandbridgeError, match="target_labels=21: zoo has only 20 samples; ask for at most 20 or for"):
        TWO.within(torch.randn(20, 2), 21, order, False, "zoo")
    assert TWO.within(torch.randn(20, 2), 21, order, True, "zoo").all()


@pytest.mark.parametrize("backbone", ["identity", "mlp"])
def test_a_linear_problem_is_learned_in_its_own_units(backbone, tiny):
    record = tiny(
        "source=null",
        "target=linear",
        f"backbone={backbone}",
        "strategy=target_only",
        "target_labels=all",
        "selection=target_val",
        "optimizer=adam",
        "optimizer.lr=0.03",
        "trainer.max_epochs=8",
        "data.steps_per_epoch=12",
    )
    result = record.results["target"]
    assert result["r2"] > 0.9
    assert result["r2_by_name"].keys() == {"temperature", "pressure"}
    assert result["mae_by_name"]["pressure"] < 200
    assert record.data["target"]["task"]["kind"] == "regression"


def test_a_resumed_regression_keeps_its_units(tiny, tmp_path, monkeypatch):
    from landbridge.run.epochs import Epochs

    overrides = ["source=null", "target=linear", "backbone=mlp", "strategy=target_only", "target_labels=20"]
    overrides += ["selection=target_val", "trainer.max_epochs=3"]
    straight = tiny(*overrides, folder="straight")
    with monkeypatch.context() as patch:

        def stop(self, trainer, *arguments):
            if trainer.current_epoch == 2:
                raise RuntimeError("the power went off")

        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*overrides, folder="resumed")
    assert tiny(*overrides, folder="resumed").results == straight.results
    one, other = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"] for name in ("straight", "resumed")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["network.units.are_set"]
