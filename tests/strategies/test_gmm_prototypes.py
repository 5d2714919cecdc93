import numpy as np
import pytest
import torch
from small_problem import CLASSES, batches, falls, loss, make, parts

import dusk
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.strategies import GMMPrototypes
from landbridge.strategies.source_free.gaussian_model import gaussian

GAUSSIANS = ("means", "factors", "shares")


def prototypes(**settings):
    """The strategy with Gaussians. Its head is confident for some of their samples."""
    strategy = make(GMMPrototypes, **settings)
    generator = torch.Generator().manual_seed(0)
    means = 6 * strategy.network.head.weight.detach()
    factors = torch.randn(CLASSES, 6, 6, generator=generator).tril()
    strategy.load_auxiliary_state(
        {"means": means, "factors": factors, "shares": torch.tensor([0.5, 0.3, 0.2]), "discriminator": means}
    )
    return strategy


def kept(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("n", [1, 4, 200])
def test_covariances_are_those_of_the_features_shrunk_and_positive_definite(n):
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2, 3, 4, 5]) + 7
    mean, factor = gaussian(x, 0.2)
    covariance = np.cov(x.numpy().T, bias=True)
    expected = 0.8 * covariance + 0.2 * np.trace(covariance) / 5 * np.eye(5)
    np.testing.assert_allclose(factor @ factor.T, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(mean, x.numpy().mean(0), rtol=1e-5)
    assert (torch.linalg.eigvalsh(factor @ factor.T) > 0).all()


def test_samples_follow_the_gaussians():
    strategy = prototypes()
    torch.manual_seed(0)
    z, y = strategy.draw(20_000)
    np.testing.assert_allclose(y.bincount() / 20_000, strategy.shares, atol=0.02)
    of_one = z[y == 1]
    np.testing.assert_allclose(of_one.mean(0), strategy.means[1], atol=0.1)
    np.testing.assert_allclose(of_one.T.cov(), strategy.factors[1] @ strategy.factors[1].T, atol=0.3)
    strategy.uniform = True
    np.testing.assert_allclose(strategy.draw(20_000)[1].bincount() / 20_000, 3 * [1 / 3], atol=0.02)


def test_only_samples_with_confident_predictions_are_used():
    strategy = prototypes(threshold=0.8)
    torch.manual_seed(0)
    z, y = strategy.draw(1000)
    confidence = strategy.network.head(z).softmax(1).amax(1)
    assert 0.02 < (confidence > 0.8).float().mean() < 0.98
    z, y = strategy.draw_sure(1000)
    assert len(z) == len(y) == 1000
    assert (strategy.network.head(z).softmax(1).amax(1) > 0.8).all()


def test_without_confident_predictions_all_samples_may_be_used():
    strategy = prototypes(threshold=1.0)
    assert all(
        term.isfinite() for term in loss(strategy, {"target_unlabelled": batches()["target_unlabelled"]}).values()
    )


def test_the_encoder_is_aligned_with_the_gaussians_and_the_head_is_trained_on_them():
    strategy = prototypes(threshold=0.5).eval()
    data = {"target_unlabelled": batches()["target_unlabelled"]}
    terms = loss(strategy, data)
    assert parts(strategy, terms["align"]) == {"backbone"}
    assert parts(strategy, terms["supervised"]) == {"head"}
    assert falls(strategy, data, "align")


def test_it_adapts_a_checkpoint_without_the_source(tiny, tmp_path, monkeypatch):
    tiny("strategy=gaussian_model", "target=noon", "target_labels=all", folder="before")
    checkpoint = tmp_path / "before" / "last.ckpt"
    present = dusk.dusk

    def deleted(name: str, **rest: float) -> Domain:
        if name == "noon":
            raise FileNotFoundError("the source data are gone")
        return present(name, **rest)

    monkeypatch.setattr(dusk, "dusk", deleted)
    record = tiny("strategy=gmm_prototypes", "start=checkpoint", f"start.path={checkpoint}", folder="after")
    assert record.status == "done"
    before, after = kept(checkpoint), kept(tmp_path / "after" / "last.ckpt")
    assert before["means"].any()
    assert all(torch.equal(before[name], after[name]) for name in GAUSSIANS)


def test_the_gaussians_are_those_of_correct_predictions_with_the_checkpoints_weights(tiny, tmp_path):
    record = tiny("strategy=gaussian_model", "target=noon", "target_labels=all", "trainer.max_epochs=30")
    state = kept(tmp_path / "run" / "last.ckpt")
    split = dusk.dusk("noon").splits["train"]
    labels = split.labels.visible("all", 0)
    net = dusk.DuskNet().eval()
    net.load_state_dict({k.removeprefix("network.backbone."): v for k, v in state.items() if "backbone" in k})
    features = net(net.format.normalised(split.inputs.tensor)).detach()
    logits = features @ state["network.head.weight"].T + state["network.head.bias"]
    right = logits.argmax(1) == labels
    assert 0.5 < right.float().mean() < 1, record.epochs[-1]
    for label in range(3):
        torch.testing.assert_close(
            state["means"][label], features[right & (labels == label)].mean(0), rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(state["shares"], labels.bincount() / len(labels))


def test_start_source_trains_a_model_with_gaussians(tiny, tmp_path):
    cache = tmp_path / "sources"
    tiny("strategy=gmm_prototypes", f"start.cache={cache}")
    tiny("strategy=shot", f"start.cache={cache}", folder="shot")
    models = [kept(path) for path in cache.rglob("last.ckpt")]
    assert sorted("means" in model for model in models) == [False, True]
    (model,) = (model for model in models if "means" in model)
    adapted = kept(tmp_path / "run" / "last.ckpt")
    assert all(torch.equal(model[name], adapted[name]) for name in GAUSSIANS)


def test_a_checkpoint_without_gaussians_is_refused(tiny, tmp_path):
    tiny("strategy=source_only", folder="before")
    with pytest.raises(LandbridgeError, match="needs a source model with Gaussians"):
        tiny("strategy=gmm_prototypes", "start=checkpoint", f"start.path={tmp_path / 'before' / 'last.ckpt'}")
