"""Heads that are computed from frozen features, compared with scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Regression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from dusk import DuskNet, dusk
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.strategies.frozen_features.logistic_regression import fit
from landbridge.strategies.frozen_features.nearest_mean import class_means
from landbridge.strategies.frozen_features.nearest_neighbours import NeighbourHead

HEADS = ("nearest_mean", "knn", "logistic")


def features(n=60, d=5, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    return torch.randn(classes, d, generator=generator)[y] + torch.randn(n, d, generator=generator), y


@pytest.fixture
def solved(tiny, tmp_path):
    """A function that computes a head, and returns its record and the weights of its checkpoint."""

    def launch(strategy, *overrides, folder="run"):
        overrides = ("target_labels=all", "selection=target_val", "trainer.max_epochs=3", *overrides)
        record = tiny(f"strategy={strategy}", *overrides, folder=folder)
        return record, torch.load(tmp_path / folder / "last.ckpt", weights_only=True)["state_dict"]

    return launch


def encoded(state, split):
    """Encode a split of the target with the checkpoint's backbone."""
    backbone, prefix = DuskNet().eval(), "network.backbone."
    backbone.load_state_dict(
        {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    )
    part = dusk("dusk", shift=0.5).splits[split]
    with torch.no_grad():
        return backbone(backbone.format.normalised(part.inputs.tensor)).double().numpy(), part.labels.open(
            "test"
        ).numpy()


ORACLES = {
    "nearest_mean": lambda state: NearestCentroid(),
    "knn": lambda state: KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)),
    "logistic": lambda state: Regression(C=0.1, max_iter=5000),
}


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # scikit-learn's, of features that a ReLU has killed
@pytest.mark.parametrize("strategy", HEADS)
def test_a_run_predicts_the_same_as_scikit_learn(strategy, solved):
    setting = ["strategy.strengths=[0.1]"] if strategy == "logistic" else []
    record, state = solved(strategy, *setting)
    oracle = ORACLES[strategy](state).fit(*encoded(state, "train"))
    x, y = encoded(state, "test")
    assert record.results["target"]["accuracy"] == pytest.approx((oracle.predict(x) == y).mean())
    assert len(record.epochs) == 1
    assert record.epochs[0]["losses"] == {}


@pytest.mark.parametrize("strategy", HEADS)
def test_only_the_head_changes_and_the_solution_is_reproducible(strategy, solved, tmp_path):
    start = Network(DuskNet(), 3)
    weights = {f"network.{name}": value for name, value in start.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "start.ckpt")
    begin = ("start=checkpoint", f"start.path={tmp_path / 'start.ckpt'}")
    one, state = solved(strategy, *begin, folder="one")
    other, again = solved(strategy, *begin, "data.eval_batch_size=7", folder="other")
    for name in weights:
        assert name.startswith("network.head") or state[name].equal(weights[name])
    assert state.keys() == again.keys()
    assert all(torch.allclose(state[name], again[name], atol=1e-4) for name in state)
    assert one.results["target"]["accuracy"] == other.results["target"]["accuracy"]
    assert one.cost["trainable_parameters"] == (0 if strategy == "knn" else 3 * 8 + 3)


@pytest.mark.parametrize("strategy", HEADS)
def test_a_resumed_run_has_the_same_solution(strategy, solved, monkeypatch):
    import landbridge.run.run

    straight, _ = solved(strategy, folder="straight")
    with monkeypatch.context() as patch:
        patch.setattr(landbridge.run.run, "test_domains", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            solved(strategy, folder="resumed")
    resumed, _ = solved(strategy, folder="resumed")
    assert resumed.results == straight.results
    assert len(resumed.epochs) == 1


def test_class_means_are_those_of_scikit_learn():
    x, y = features()
    np.testing.assert_allclose(class_means(x, y, 5)[:4], NearestCentroid().fit(x, y).centroids_, rtol=1e-5)
    assert not class_means(x, y, 5)[4].any()


@pytest.mark.parametrize("k", [1, 7, 60, 100])
@pytest.mark.parametrize("temperature", [0.07, 5.0])
def test_probabilities_are_those_of_weighted_neighbours(k, temperature):
    x, y = features()
    queries, _ = features(30, seed=1)
    head = NeighbourHead(4, 5, k, temperature)
    head.remember(x, y)
    oracle = KNeighborsClassifier(min(k, 60), metric="cosine", weights=lambda d: np.exp((1 - d) / temperature))
    np.testing.assert_allclose(head(queries).exp(), oracle.fit(x, y).predict_proba(queries), atol=1e-5)


def test_an_empty_bank_gives_equal_logits_and_can_be_loaded_from_a_checkpoint():
    x, y = features()
    head, other = NeighbourHead(4, 5, 3, 0.07), NeighbourHead(4, 5, 3, 0.07)
    assert len(head(x).unique()) == 1
    head.remember(x, y)
    other.load_state_dict(head.state_dict())
    assert other(x).equal(head(x))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_solution_is_that_of_scikit_learn_and_absent_classes_have_probability_zero(classes):
    x, y = (part.numpy() for part in features(classes=classes))
    weight, bias = fit(x.astype(float), y + 1, classes + 2, strength=0.5, max_iter=1000)
    logits = torch.from_numpy(x).double() @ weight.T + bias
    expected = Regression(C=0.5, max_iter=1000).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(logits.softmax(1)[:, 1:-1], expected, atol=1e-4)
    assert not logits.softmax(1)[:, [0, -1]].any()


def test_the_strength_is_the_best_on_visible_validation_labels(solved):
    strengths = [1e-6, 1e-3, 1.0, 100.0]
    record, state = solved("logistic", f"strategy.strengths={strengths}")
    train, (x, y) = encoded(state, "train"), encoded(state, "val")
    scores = [Regression(C=c, max_iter=5000).fit(*train).score(x, y) for c in strengths]
    assert record.epochs[0]["strength"] == strengths[int(np.argmax(scores))]
    assert record.epochs[0]["scores"]["target_val"] == pytest.approx(max(scores))


def test_auxiliary_losses_are_refused_without_gradient_steps(solved):
    message = "terms: l2_sp cannot act on strategy NearestMean: it takes no gradient steps"
    with pytest.raises(LandbridgeError, match=message):
        solved("nearest_mean", "terms=[l2_sp]")


@pytest.mark.parametrize("strategy", [*HEADS, "ridge"])
def test_without_target_labels_a_head_learns_from_the_source(strategy, tiny, tmp_path):
    """The head equals that of a run whose target is the source, because both read the same labels."""
    source, target = ("noon_regression", "dusk_regression") if strategy == "ridge" else ("noon", "dusk")
    record = tiny(f"strategy={strategy}", f"source={source}", f"target={target}", "target_labels=0", folder="both")
    alone = (f"strategy={strategy}", "source=null", f"target={source}", "target_labels=all")
    direct = tiny(*alone, folder="alone")
    weights = [
        torch.load(tmp_path / folder / "last.ckpt", weights_only=True)["state_dict"] for folder in ("both", "alone")
    ]
    heads = [{name: value for name, value in each.items() if name.startswith("network.head.")} for each in weights]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[1])
    assert {**record.results["source"], "domain": ""} == {**direct.results["target"], "domain": ""}
    assert record.seal["target train"] == []
