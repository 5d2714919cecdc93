"""A bottleneck between backbone and head: its features are those of the network, for every strategy."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from small_problem import CLASSES
from test_every_strategy import STRATEGIES, content, differences, setting, streams_and_facts  # noqa: F401

import landbridge
from dusk import dusk
from landbridge.config.defaults import with_defaults
from landbridge.errors import LandbridgeError
from landbridge.export.__main__ import export
from landbridge.export.weights import write_weights
from landbridge.heads import Linear
from landbridge.models.backbones.small import MLP
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.bottleneck import Bottleneck
from landbridge.models.network import Network
from landbridge.models.start.checkpoint import Checkpoint
from landbridge.record.identity import fingerprint
from landbridge.run.checkpoints import LAST
from landbridge.strategies.initial_model import InitialModel
from landbridge.strategies.terms import Training
from landbridge.strategies.terms.weights import L2SPTerm
from landbridge.training.freezing import Depth, Surgical
from landbridge.training.trainable_parameters import TrainableParameters
from test_run import stop_after

#: The width of the features differs from that of the backbone, so that a part that reads the wrong ones fails.
NARROW = ("bottleneck=linear_bn_relu", "bottleneck.width=5")
#: Strategies that take no gradient step on the bottleneck.
STILL = {"adabn", "as_is", "bn_adapt", "tent"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name.removeprefix("network."): each for name, each in content(folder)["state_dict"].items()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], prefix: str) -> set[bool]:
    """Return whether weight matrices of a part differ: {True}, {False}, or both."""
    return {not before[name].equal(after[name]) for name in before if name.startswith(prefix) and "0.weight" in name}


def source_model(cache: Path) -> Path:
    (model,) = cache.glob(f"*/{LAST}")
    return model.parent


def network(bottleneck: bool = True, width: int = 6) -> Network:
    """Return a network of which backbone and bottleneck are equally wide, so that any head fits both."""
    narrow = (lambda d: Bottleneck(d, width)) if bottleneck else None
    return Network(MLP(shape=(5,), widths=(7, 6)), CLASSES, Linear, bottleneck=narrow)


@pytest.mark.long
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trains_with_a_bottleneck(strategy, setting, compose, tiny, tmp_path):  # noqa: F811
    check_a_run(strategy, setting, compose, tiny, tmp_path)


@pytest.mark.parametrize("strategy", ["mcd", "adda", "dsbn", "linear_probe", "nearest_mean", "bi_tuning"])
def test_such_strategies_train_with_a_bottleneck(strategy, setting, compose, tiny, tmp_path):  # noqa: F811
    check_a_run(strategy, setting, compose, tiny, tmp_path)


def check_a_run(strategy, setting, compose, tiny, tmp_path):  # noqa: F811
    facts = streams_and_facts(compose("experiment=tiny", f"strategy={strategy}"))
    overrides = setting(strategy, "fewest", cache=tmp_path / "cache")
    if strategy == "soup":
        for rate in (0.001, 0.01):
            tiny(*NARROW, f"optimizer.lr={rate}", folder=f"narrow/{rate}")
        overrides = [text for text in overrides if not text.startswith("strategy.folder=")]
        overrides.append(f"strategy.folder={tmp_path / 'narrow'}")
    if facts.frozen_backbone:
        overrides += ["start=source", "start.max_epochs=1", f"start.cache={tmp_path / 'cache'}"]
    assert tiny(*overrides, *NARROW).status == "done"
    if not (tmp_path / "run" / LAST).exists():
        assert not facts.trains
        return
    after = weights(tmp_path / "run")
    assert after["bottleneck.0.weight"].shape[0] == 5
    if "start=source" in overrides:
        before = weights(source_model(tmp_path / "cache"))
        still = facts.frozen_backbone or strategy in STILL
        assert moved(before, after, "bottleneck.") == moved(before, after, "backbone.") == {not still}


def test_shot_freezes_its_classifier_and_trains_the_bottleneck(tiny, tmp_path):
    shot = ("strategy=shot", "start=source", f"start.cache={tmp_path / 'cache'}", "head=weight_norm", *NARROW)
    straight = tiny(*shot, "trainer.max_epochs=2", folder="straight")
    before, after = weights(source_model(tmp_path / "cache")), weights(tmp_path / "straight")
    assert all(before[name].equal(after[name]) for name in before if name.startswith("head."))
    assert moved(before, after, "bottleneck.") == moved(before, after, "backbone.") == {True}
    assert not before["bottleneck.1.running_mean"].equal(after["bottleneck.1.running_mean"])
    assert straight.start["initialised"] == []

    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 1, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            tiny(*shot, "trainer.max_epochs=2", folder="resumed")
    tiny(*shot, "trainer.max_epochs=2", folder="resumed")
    assert not differences(content(tmp_path / "resumed"), content(tmp_path / "straight"))


@pytest.mark.parametrize("strategy", ["nearest_mean", "logistic", "knn"])
def test_a_head_in_closed_form_reads_the_features_of_the_bottleneck(strategy, tiny, tmp_path):
    source = ("start=source", f"start.cache={tmp_path / 'cache'}", "target_labels=all", *NARROW)
    record = tiny(f"strategy={strategy}", *source)
    model = landbridge.load(tmp_path / "run", "cpu")
    train = dusk("dusk", shift=0.5).splits["train"]
    features = model.predict(train.inputs.tensor).features
    before, after = weights(source_model(tmp_path / "cache")), weights(tmp_path / "run")
    assert all(before[name].equal(after[name]) for name in before if not name.startswith("head."))
    assert features.shape[1] == 5
    assert (features >= 0).all()  # they come from the ReLU of the bottleneck
    assert record.results["target"]["accuracy"] > 0
    head = {name.removeprefix("head."): each for name, each in after.items() if name.startswith("head.")}
    assert (head["bank"] if strategy == "knn" else head["weight"]).shape[1] == 5
    if strategy == "knn":
        unit = torch.nn.functional.normalize(torch.as_tensor(features), dim=1)
        assert (head["bank"] @ unit.T).amax(1).min() > 1 - 1e-5


def test_an_exported_model_has_the_bottleneck(tiny, tmp_path):
    tiny(*NARROW, "source=null", "strategy=target_only", "target_labels=all", "data.workers=0")
    told = export(tmp_path / "run", tmp_path / "m.pt2")
    assert "differs from the model by at most" in told
    images = dusk("dusk", shift=0.5).splits["test"].inputs.tensor
    outputs, _, features = torch.export.load(tmp_path / "m.pt2").module()(images)
    found = landbridge.load(tmp_path / "run", "cpu").predict(images)
    np.testing.assert_allclose(outputs, found.outputs, atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(features, found.features, atol=1e-5, rtol=1e-4)
    export(tmp_path / "run", tmp_path / "m.safetensors")
    plain = load_file(tmp_path / "m.safetensors")
    assert {"bottleneck.0.weight", "head.weight"} <= plain.keys()


def test_weights_for_timm_have_the_bottleneck_beside_them(tmp_path):
    torch.manual_seed(0)
    made = Network(Timm("test_resnet"), CLASSES, bottleneck=lambda d: Bottleneck(d, 6)).eval()
    how, difference = write_weights(made, tmp_path / "m.safetensors", {})
    assert how == "timm.create_model('test_resnet', num_classes=0)"
    assert difference < 1e-5
    model = timm.create_model("test_resnet", num_classes=0).eval()
    model.load_state_dict(load_file(tmp_path / "m.safetensors"))
    rest = load_file(tmp_path / "m.head.safetensors")
    bottleneck = Bottleneck(made.backbone.features, 6).eval()
    bottleneck.load_state_dict({n.removeprefix("bottleneck."): v for n, v in rest.items() if n.startswith("bottle")})
    x = torch.randn(2, 3, 160, 160)
    torch.testing.assert_close(bottleneck(model(x)) @ rest["weight"].T + rest["bias"], made(x)[1])


def test_batch_norm_in_the_bottleneck_is_that_of_the_method(tiny, tmp_path):
    tiny(*NARROW, folder="before")
    start = ("start=checkpoint", f"start.path={tmp_path / 'before' / LAST}", *NARROW, "freeze.depth=all")
    tiny(*start, "strategy=adabn", folder="adabn")
    before, after = weights(tmp_path / "before"), weights(tmp_path / "adabn")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {"bottleneck.1.running_mean", "bottleneck.1.running_var"}
    tiny(*start, "strategy=stoch_norm", "target_labels=2", folder="stoch_norm")  # all others are frozen
    tiny(*start, "strategy=dsbn", folder="dsbn")
    after = weights(tmp_path / "dsbn")
    assert not after["bottleneck.1.source.running_mean"].equal(after["bottleneck.1.running_mean"])
    assert moved(before, after, "bottleneck.") == {True}  # features align although the backbone is frozen
    assert moved(before, after, "backbone.") == {False}


def test_two_heads_read_the_same_bottleneck(tiny, tmp_path):
    two = ("source=noon_regression", "target=dusk", "label_sets=different", "strategy=fine_tune", "target_labels=2")
    record = tiny(*two, "start=source", f"start.cache={tmp_path / 'cache'}", *NARROW)
    trained, before = weights(tmp_path / "run"), weights(source_model(tmp_path / "cache"))
    assert record.start["initialised"] == ["head.weight", "head.bias"]
    assert trained["source.head.weight"].equal(before["head.weight"])
    assert trained["source.head.weight"].shape[1] == trained["head.weight"].shape[1] == 5
    assert "r2_at_start" in record.results["source"]


def test_without_a_bottleneck_names_features_and_random_numbers_are_as_before():
    torch.manual_seed(0)
    plain = network(bottleneck=False)
    torch.manual_seed(0)
    backbone, head = MLP(shape=(5,), widths=(7, 6)), Linear(6, CLASSES)
    x = torch.rand(4, 5)
    assert not any("bottleneck" in name for name in plain.state_dict())
    assert plain.features == 6
    assert plain(x)[0].equal(backbone(x))
    assert plain(x)[1].equal(head(backbone(x)))


def test_a_run_without_a_bottleneck_is_the_run_of_versions_that_had_none(compose):
    config = OmegaConf.to_container(compose("experiment=tiny"), resolve=True)
    assert config["bottleneck"] is None
    old = {name: node for name, node in config.items() if name != "bottleneck"}
    narrow = OmegaConf.to_container(compose("experiment=tiny", *NARROW), resolve=True)
    same, as_old, other = (fingerprint(with_defaults(each), {}) for each in (config, old, narrow))
    assert same == as_old != other


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_a_bottleneck_equals_its_formula(batch_norm, relu):
    x = torch.randn(8, 6)
    layer = Bottleneck(6, 4, batch_norm=batch_norm, relu=relu)
    expected = x @ layer[0].weight.T + layer[0].bias
    if batch_norm:
        expected = (expected - expected.mean(0)) / (expected.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), expected.relu() if relu else expected)


@pytest.mark.parametrize(
    ("policy", "head", "bottleneck", "trained"),
    [
        (Depth("all"), True, True, {"head", "bottleneck"}),
        (Depth("all"), True, False, {"head"}),
        (Depth(), False, True, {"backbone", "bottleneck"}),
        (Surgical(1, head=False), True, True, {"backbone"}),
    ],
)
def test_who_freezes_the_bottleneck(policy, head, bottleneck, trained):
    made = network()
    parts = TrainableParameters(made.train(), policy, head, bottleneck)
    parts.apply(parts.ever)
    assert {name.partition(".")[0] for name, each in made.named_parameters() if each.requires_grad} == trained
    assert made.bottleneck.training == made.bottleneck[1].training == ("bottleneck" in trained)


def test_the_decay_of_the_head_holds_for_the_bottleneck():
    made = network()
    term = L2SPTerm(weight=0.0, beta=2.0)
    training = Training(made, 1.0, InitialModel(made))
    expected = sum(each.square().sum() for each in [*made.bottleneck.parameters(), *made.head.parameters()])
    torch.testing.assert_close(term.losses({}, training)["l2_sp"], expected)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [(False, True, "has no bottleneck"), (True, False, "has a bottleneck"), (True, 4, "has another bottleneck")],
)
def test_a_head_is_loaded_only_with_its_bottleneck(before, now, words, tmp_path):
    """Backbone and bottleneck are equally wide, so shapes do not show that the head reads other features."""
    state = {f"network.{name}": value for name, value in network(before).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "model.ckpt")
    start = Checkpoint(str(tmp_path / "model.ckpt"))
    other = network(bool(now), 6 if isinstance(now, bool) else now)
    report = start.apply(other)
    assert {name.partition(".")[0] for name in report.initialised} == {"head", *(["bottleneck"] if now else [])}
    assert start.why_new_head.endswith(words)
    assert not start.auxiliary_state  # the classifier reads other features too
    same = network(before)
    assert not Checkpoint(str(tmp_path / "model.ckpt")).apply(same).initialised


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("strategy=linear_probe", "target_labels=2"), "strategy LinearProbe freezes the bottleneck, but it is random"),
        (("strategy=shot",), "continues a source model with its head, but .* has no bottleneck"),
    ],
)
def test_a_bottleneck_that_stays_random_is_refused(overrides, words, tiny, tmp_path):
    tiny(folder="before")
    start = ("start=checkpoint", f"start.path={tmp_path / 'before' / LAST}")
    with pytest.raises(LandbridgeError, match=words):
        tiny(*overrides, *start, *NARROW)


class Wider(Bottleneck):
    """A bottleneck of a user that announces another width than it has."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 4)
        self.width = 5


def test_a_bottleneck_of_another_width_than_it_announces_is_refused(tiny):
    with pytest.raises(LandbridgeError, match=r"bottleneck: .* the shape \(2, 4\), and its `width` announces \(2, 5\)"):
        tiny("bottleneck={_target_: test_bottleneck.Wider}")


def test_a_setting_without_a_bottleneck_is_refused(tiny):
    with pytest.raises(LandbridgeError, match="bottleneck"):
        tiny("bottleneck.width=5")
