import pytest
import torch
from small_problem import batches, make, parts
from torch.nn.functional import cross_entropy

from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.strategies import DELTA
from landbridge.strategies.fine_tuning.delta import _channels_last, fitted_head, stage_ends
from landbridge.training.freezing import Depth

TARGET = {"target": batches(labels=12)["target"]}


def delta(depth=0, **settings):
    return make(lambda freeze, **base: DELTA(freeze=Depth(depth), **base), **({"beta": 0.0} | settings))


def resting(strategy):
    """Train all stages, with BatchNorm and dropout in evaluation mode, so that outputs equal those at the start."""
    for module in strategy.network.modules():
        module.training = False
    return strategy


def terms(strategy):
    return strategy.loss_terms(strategy.encode_streams(TARGET))


def test_at_the_start_the_distance_of_feature_maps_is_zero():
    strategy = resting(delta())
    keep = terms(strategy)["keep"]
    assert keep == 0
    assert not parts(strategy, keep)


def test_later_every_stage_has_a_gradient_and_the_initial_model_does_not_change():
    strategy = resting(delta(weight=2.0))
    (x,) = TARGET["target"]["x"].tensors
    before = {name: value.clone() for name, value in strategy.initial.network.state_dict().items()}
    with torch.no_grad():
        for parameter in strategy.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    keep = terms(strategy)["keep"]
    assert parts(strategy, keep) == {"backbone"}
    now = [strategy.network.backbone.layer1(x), strategy.network.backbone(x)]
    then = [strategy.initial.network.backbone.layer1(x), strategy.initial.network.backbone(x)]
    # The features are vectors with one position. Without attention all channels have the same weight.
    expected = 2 * 0.5 * sum((a - b).square().sum(1).mean() for a, b in zip(now, then, strict=True))
    torch.testing.assert_close(keep, expected)
    strategy.train()
    terms(strategy)
    assert all(value.equal(before[name]) for name, value in strategy.initial.network.state_dict().items())


def test_the_head_has_a_weight_decay():
    strategy = delta(beta=0.4)
    head = sum(parameter.square().sum() for parameter in strategy.network.head.parameters())
    torch.testing.assert_close(terms(strategy)["decay"], 0.2 * head)


@pytest.mark.parametrize(("depth", "stages"), [(0, 2), (1, 1), ("all", 0)])
def test_only_stages_that_train_are_compared(depth, stages):
    strategy = delta(depth).train()
    strategy.encode_streams(TARGET)
    assert [len(maps) for maps in strategy._maps.values()] == [stages, stages]
    assert bool(terms(strategy)["keep"].requires_grad) is (stages > 0)


# Attention ------------------------------------------------------------------------------------------------------------


class Noted(DELTA):
    def on_train_start(self) -> None:
        super().on_train_start()
        Noted.last = self  # pyright: ignore[reportAttributeAccessIssue]
        self.samples_seen = self.data.streams.training["target"].read(torch.arange(6))


def test_attention_is_larger_for_channels_that_the_loss_depends_on(tiny, tmp_path):
    tiny(
        "strategy=delta",
        "strategy._target_=test_delta.Noted",
        "target_labels=2",
        "start=source",
        f"start.cache={tmp_path}",
        "trainer.max_epochs=2",
    )
    strategy = Noted.last  # pyright: ignore[reportAttributeAccessIssue]
    attention = strategy._attention
    assert [len(shares) for shares in attention] == [4, 8]
    initial, batch = strategy.initial.network, strategy.samples_seen
    x = strategy.network.backbone.format.render(batch["x"].tensors)[0]
    with torch.no_grad():
        features = initial.backbone(x)
        head = fitted_head(features, batch["y"], 3)
        losses = []
        for channel in range(8):  # the last stage's channels are the features themselves
            silenced = features.clone()
            silenced[:, channel] = 0
            losses.append(cross_entropy(head(silenced), batch["y"]))
    losses = torch.stack(losses)
    z = (losses - losses.mean()) / losses.std(correction=0)
    torch.testing.assert_close(attention[1], torch.softmax(z / 5, 0))


def test_a_fitted_head_has_a_zero_gradient():
    torch.manual_seed(0)
    features, y = torch.randn(30, 4), torch.arange(30) % 3
    head = fitted_head(features, y, 3).requires_grad_(True)
    objective = cross_entropy(head(features), y) + 0.005 * head.weight.square().sum()
    assert all(gradient.abs().max() < 1e-3 for gradient in torch.autograd.grad(objective, list(head.parameters())))
    assert head.weight.equal(fitted_head(features, y, 3).weight)


# Stages of other networks ---------------------------------------------------------------------------------------------

SMALL = {"pretrained_cfg_overlay": {"input_size": [3, 64, 64]}}
SWIN = {"img_size": 64, "embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}


@pytest.mark.parametrize(
    ("name", "options", "widths"),
    [
        ("test_resnet", SMALL, None),
        ("test_vit", {"img_size": 64}, None),
        ("test_efficientnet", SMALL, None),
        ("test_convnext", SMALL, None),
        ("swin_tiny_patch4_window7_224", SWIN, [24, 24, 48, 96, 192]),
    ],
)
def test_every_stage_of_a_timm_model_has_a_feature_map(name, options, widths):
    backbone = Timm(name, options=options).eval()
    ends = stage_ends(backbone, frozenset(range(len(backbone.stages))))
    assert sorted(ends) == list(range(len(backbone.stages)))
    maps = {}
    for stage, module in ends.items():
        module.register_forward_hook(lambda _, __, x, stage=stage: maps.update({stage: x}))
    backbone(torch.randn(2, 3, 64, 64))
    shapes = [_channels_last(maps[stage], backbone).shape for stage in sorted(maps)]
    assert len(shapes) == len(ends)
    assert all(shape[0] == 2 for shape in shapes)
    assert shapes[-1][2] == backbone.features
    if widths:
        assert [shape[2] for shape in shapes][: len(widths)] == widths


def test_a_stage_ends_with_the_last_of_its_modules():
    net = SequentialBackbone(
        {"one": torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), "two": torch.nn.Linear(2, 2)}, None, 2
    )
    network = Network(net, 3)
    assert stage_ends(network.backbone, frozenset({0, 1})) == {0: net.one, 1: net.two}
