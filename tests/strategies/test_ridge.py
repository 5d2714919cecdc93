"""Ridge regression on frozen features, beside scikit-learn's."""

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score

from dusk_tasks import dusk_task, linear
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.run.checkpoints import LAST
from landbridge.strategies import Ridge as Strategy
from landbridge.strategies.frozen_features.ridge import fit_where_seen

RIDGE = ("source=null", "target=linear", "backbone=identity", "strategy=ridge", "selection=target_val")


def test_a_run_equals_scikit_learn(tiny):
    scores = tiny(*RIDGE, "strategy.alphas=[10.0]", "target_labels=40").results["target"]
    domain = linear("linear")
    y = domain.splits["train"].labels.visible(40, seed=0)
    seen = ~y.isnan().any(1)
    assert int(seen.sum()) == 40

    def inputs(split):
        part = domain.splits[split].inputs
        return part.read(torch.arange(len(part)), None)[0].double()

    fitted = Ridge(alpha=10.0).fit(inputs("train")[seen], y[seen].double())
    truth = domain.splits["test"].labels.open("to compare").double()
    predicted = fitted.predict(inputs("test"))
    assert scores["r2"] == pytest.approx(r2_score(truth, predicted), abs=1e-5)
    assert scores["mae"] == pytest.approx(mean_absolute_error(truth, predicted), rel=1e-5)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_each_number_is_fitted_on_the_samples_that_have_it(missing):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 6, generator=generator).double(), torch.randn(40, 3, generator=generator).double()
    y[:, 1:][torch.rand(40, 2, generator=generator) < missing] = torch.nan
    weight, bias = fit_where_seen(x, y, 2.0)
    for number in range(3):
        seen = ~y[:, number].isnan()
        alone = Ridge(alpha=2.0).fit(x[seen], y[seen, number])
        assert weight[number].numpy() == pytest.approx(alone.coef_)
        assert float(bias[number]) == pytest.approx(alone.intercept_)


def test_a_number_without_a_visible_label_is_named(tiny):
    # Every seventh column is missing, and the only visible sample lacks it.
    overrides = ["source=null", "target=dusk_regression", "strategy=ridge", "strategy.alphas=[1.0]", "target_labels=1"]
    train = dusk_task("dusk", "regression").splits["train"].labels
    seed = next(seed for seed in range(100) if train.visible(1, seed).isnan().sum() == 2 * len(train) - 1)
    with pytest.raises(
        LandbridgeError, match="strategy ridge: no visible label has the number 'column'; raise target_"
    ):
        tiny(*overrides, f"seed={seed}")


def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path, monkeypatch):
    straight = tiny(*RIDGE, "target_labels=40", folder="straight")

    def stop(*arguments):
        raise RuntimeError("the power went off")

    with monkeypatch.context() as patch:
        patch.setattr("landbridge.run.run.test", stop)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*RIDGE, "target_labels=40", folder="resumed")
    assert (tmp_path / "resumed" / LAST).exists()
    with monkeypatch.context() as patch:
        patch.setattr(Strategy, "solve", stop)  # the solution is in the checkpoint
        resumed = tiny(*RIDGE, "target_labels=40", folder="resumed")
    assert resumed.results == straight.results
    assert [row["alpha"] for row in resumed.epochs] == [row["alpha"] for row in straight.epochs]
    one, other = (
        torch.load(tmp_path / folder / LAST, weights_only=True)["state_dict"] for folder in ("straight", "resumed")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_run_with_a_cache_equals_one_without(tiny, tmp_path):
    overrides = ["source=null", "target=dusk_regression", "strategy=ridge", "target_labels=all", "freeze.depth=all"]
    without = tiny(*overrides, folder="without")
    cached = tiny(*overrides, "cache=activations", f"cache.path={tmp_path / 'store'}", folder="cached")
    assert cached.cost["cache"]["depth"] == 2
    assert cached.cost["cache"]["computed"] > 0
    assert cached.fingerprint == without.fingerprint
    assert cached.epochs[0]["alpha"] == without.epochs[0]["alpha"]
    for metric in ("r2", "mae", "rmse"):
        assert cached.results["target"][metric] == pytest.approx(without.results["target"][metric], rel=1e-4)


def test_alpha_is_chosen_on_validation_labels(tiny):
    (row,) = tiny(*RIDGE, "strategy.alphas=[0.1,100000.0]", "target_labels=40").epochs
    assert row["alpha"] == 0.1


def test_hidden_numbers_do_not_change_the_solution(tiny, tmp_path, monkeypatch):
    honest = tiny(*RIDGE, "target_labels=40", folder="honest")

    def lying(name: str) -> Domain:
        domain = linear(name)
        for split, part in domain.splits.items():
            values, known = part.labels._values, part.labels.visible(40, seed=0)
            hidden = torch.ones(len(values), dtype=torch.bool) if split == "test" else known.isnan().any(1)
            values[hidden] = 1e6 * torch.rand(int(hidden.sum()), 2, generator=torch.Generator().manual_seed(1))
        return domain

    monkeypatch.setattr("dusk_tasks.linear", lying)
    garbage = tiny(*RIDGE, "target_labels=40", folder="garbage")
    assert garbage.results["target"]["r2"] != honest.results["target"]["r2"]
    one, other = (
        torch.load(tmp_path / folder / LAST, weights_only=True)["state_dict"] for folder in ("honest", "garbage")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
