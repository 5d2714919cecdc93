"""Ridge regression on frozen features, beside scikit-learn's."""

import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score

from dusk_tasks import linear
from landbridge.data.domain import Domain
from landbridge.run.checkpoints import LAST

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
