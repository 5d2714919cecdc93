"""Heads: their equations, and runs with each of them."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, normalize

from landbridge.cli.config_sources import conf_folder
from landbridge.errors import LandbridgeError
from landbridge.heads import MLP, Cosine, Linear, WeightNorm, require_linear
from landbridge.models.backbones.small import MLP as Backbone
from landbridge.models.network import Network
from landbridge.run.epochs import Epochs

HEADS = sorted(path.stem for path in (conf_folder() / "head").glob("*.yaml"))
FEATURES = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("made", [Linear, Cosine, WeightNorm, MLP, lambda d, k: MLP(d, k, (5, 4))])
def test_every_head_has_one_row_of_outputs_a_sample(made):
    head = made(6, 3)
    assert head(FEATURES).shape == (4, 3)
    assert head(FEATURES[:0]).shape == (0, 3)


def test_a_linear_head_has_the_initial_weights_of_torch():
    torch.manual_seed(1)
    head = Linear(6, 3)
    torch.manual_seed(1)
    plain = nn.Linear(6, 3)
    assert torch.equal(head.weight, plain.weight)
    torch.testing.assert_close(head(FEATURES), FEATURES @ plain.weight.T + plain.bias)


def test_a_cosine_head_does_not_depend_on_the_length_of_features():
    head = Cosine(6, 3, temperature=0.5)
    assert head.bias is None
    expected = FEATURES / FEATURES.norm(dim=1, keepdim=True) @ head.weight.T / 0.5
    torch.testing.assert_close(head(FEATURES), expected)
    torch.testing.assert_close(head(7 * FEATURES), head(FEATURES))
    with torch.no_grad():
        head.weight.copy_(normalize(head.weight))
    assert head(FEATURES).abs().max() <= 1 / 0.5 + 1e-5


def test_a_weight_normalised_head_is_linear_at_first_and_trains_length_and_direction_apart():
    head = WeightNorm(6, 3)
    length, direction = head.parametrizations.weight.original0, head.parametrizations.weight.original1
    assert length.shape == (3, 1)
    torch.testing.assert_close(length, direction.norm(dim=1, keepdim=True))
    with torch.no_grad():
        length.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
        direction.mul_(5)
    weight = length * direction / direction.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(FEATURES), linear(FEATURES, weight, head.bias))
    torch.testing.assert_close(head.weight.norm(dim=1), torch.tensor([1.0, 2.0, 3.0]))


def test_an_mlp_has_the_given_widths():
    head = MLP(6, 3, (5, 4))
    layers = [each for each in head if isinstance(each, nn.Linear)]
    assert [(each.in_features, each.out_features) for each in layers] == [(6, 5), (5, 4), (4, 3)]
    expected = layers[2](layers[1](layers[0](FEATURES).relu()).relu())
    torch.testing.assert_close(head(FEATURES), expected)


def test_an_mlp_drops_inputs_of_every_linear_layer_and_normalises_every_hidden_one():
    head = MLP(6, 3, (5, 4), dropout=0.5, batch_norm=True)
    hidden = ["Dropout", "Linear", "BatchNorm1d", "ReLU"]
    assert [type(each).__name__ for each in head] == [*hidden, *hidden, "Dropout", "Linear"]
    assert not torch.equal(head(FEATURES), head(FEATURES))
    head.eval()
    assert torch.equal(head(FEATURES), head(FEATURES))


@pytest.mark.parametrize("made", [Linear, partial(Cosine, temperature=0.5), partial(MLP, widths=(5,), dropout=0.3)])
def test_a_network_builds_another_head_of_its_kind_with_other_weights(made):
    network = Network(Backbone(shape=(7,), widths=(6,)), 3, made)
    other = network.new_head()
    assert repr(other) == repr(network.head)
    assert not any(torch.equal(a, b) for a, b in zip(other.parameters(), network.head.parameters(), strict=True))


def test_only_a_plain_linear_head_can_be_set_by_a_strategy():
    class Means:
        pass

    for plain in (nn.Linear(6, 3), Linear(6, 3)):
        assert require_linear(plain, Means()) is plain
    for head, name in ((Cosine(6, 3), "Cosine"), (MLP(6, 3), "MLP"), (WeightNorm(6, 3), "WeightNorm")):
        with pytest.raises(LandbridgeError) as refused:
            require_linear(head, Means())
        assert str(refused.value) == (
            f"strategy Means sets the weights of a linear head, and this network has {name}: use head=linear"
        )


@pytest.mark.parametrize("head", HEADS)
def test_a_run_with_each_head_trains_and_resumes(head, tiny, tmp_path, monkeypatch):
    overrides = [f"head={head}", "strategy=dann", "trainer.max_epochs=3", "optimizer=adam"]
    straight = tiny(*overrides, folder="straight")
    assert straight.config["head"]["_target_"].startswith("landbridge.heads.")
    assert all(math.isfinite(loss) for row in straight.epochs for loss in row["losses"].values())
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


@pytest.mark.parametrize("head", HEADS)
def test_a_source_model_brings_its_head(head, tiny, tmp_path):
    record = tiny(
        f"head={head}",
        "strategy=fine_tune",
        "target_labels=2",
        "start=source",
        "start.max_epochs=1",
        f"start.cache={tmp_path}",
    )
    assert not record.start["initialised"]
    assert not record.start["skipped"]
    assert "accuracy_at_start" in record.results["source"]


def test_runs_with_different_heads_are_different_runs(tiny):
    fingerprints = {tiny(f"head={head}", "strategy=source_only", folder=head).fingerprint for head in HEADS}
    assert len(fingerprints) == len(HEADS)


@pytest.mark.parametrize("strategy", ["nearest_mean", "logistic", "mme"])
def test_a_strategy_that_sets_the_head_refuses_another_kind(strategy, tiny):
    with pytest.raises(LandbridgeError, match=r"sets the weights of a linear head, .* has Cosine: use head=linear$"):
        tiny(f"strategy={strategy}", "head=cosine", "target_labels=2", "start=scratch")


def test_settings_of_a_head_are_checked(tiny):
    with pytest.raises(LandbridgeError, match=r"head\.temperature"):
        tiny("head=cosine", "head.temperature=0")
    with pytest.raises(LandbridgeError, match=r"head\.features +is set by landbridge"):
        tiny("head.features=3")
