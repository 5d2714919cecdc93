from copy import deepcopy

import pytest
import torch
from small_problem import batches, make
from torch import nn

from landbridge.data.formats import VectorFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.strategies import StochNorm, TargetOnly
from landbridge.training.freezing import Depth

(X,) = batches()["source"]["x"].tensors
LAYER = "backbone.layer1.2"


def seen(strategy) -> torch.Tensor:
    """Return the output of the first BatchNorm layer in a forward pass through the whole network."""
    outputs = []
    layer = strategy.network.get_submodule(LAYER)
    handle = layer.register_forward_hook(lambda *call: outputs.append(call[-1].detach().clone()))
    strategy.network(X)
    handle.remove()
    return outputs[-1]


def without_hooks(layer: nn.Module) -> nn.Module:
    """Remove all hooks, which makes the layer an ordinary one, and return it."""
    layer._forward_hooks.clear()
    layer._forward_pre_hooks.clear()
    return layer


def moved(strategy):
    """Give the running statistics values that differ from their initial ones."""
    for name, buffer in strategy.network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 2.0)
    return strategy


def test_in_evaluation_and_with_p_0_outputs_are_those_of_batch_norm():
    plain, never, often = (
        moved(make(method, **s)) for method, s in ((TargetOnly, {}), (StochNorm, {"p": 0.0}), (StochNorm, {}))
    )
    for strategy in (never, often):
        strategy.load_state_dict(plain.state_dict())
    evaluated = [strategy.eval().network(X)[1] for strategy in (plain, never, often)]
    assert evaluated[0].equal(evaluated[1])
    assert evaluated[0].equal(evaluated[2])
    assert plain.train().network(X)[1].equal(never.train().network(X)[1])
    assert all(mine.equal(theirs) for mine, theirs in zip(plain.buffers(), never.buffers(), strict=True))


def test_each_channel_is_normalised_by_the_batch_or_by_running_statistics():
    torch.manual_seed(3)
    strategy = moved(make(StochNorm, p=0.5))
    layer = deepcopy(strategy.network.get_submodule(LAYER))
    without_hooks(layer)
    x = strategy.network.backbone.layer1[1](X.flatten(1)).detach()
    drawn = set()
    for _ in range(20):
        mixed = seen(strategy)
        by_running = layer.eval()(x)  # the statistics from before this batch
        by_batch = layer.train()(x)  # this call updates the statistics, as the layer itself does
        followed = [mixed[:, j].allclose(by_batch[:, j], atol=1e-6) for j in range(mixed.shape[1])]
        known = [mixed[:, j].allclose(by_running[:, j], atol=1e-6) for j in range(mixed.shape[1])]
        assert all(a != b for a, b in zip(followed, known, strict=True))
        drawn.add(tuple(known))
    assert len(drawn) > 5


def test_with_p_1_statistics_from_before_the_batch_normalise_and_are_updated():
    strategy = moved(make(StochNorm, p=1.0))
    layer = strategy.network.get_submodule(LAYER)
    before = without_hooks(deepcopy(layer)).eval()
    mixed = seen(strategy)
    assert not layer.running_mean.equal(before.running_mean)
    x = strategy.network.backbone.layer1[1](X.flatten(1))
    torch.testing.assert_close(mixed, before(x))


def test_two_forward_passes_before_one_backward_pass_work():
    strategy = make(StochNorm)
    first, second = strategy.network(X)[1], strategy.network(X + 1)[1]
    (first.sum() + second.square().sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in strategy.network.parameters())


def test_frozen_layers_do_not_change():
    strategy = moved(make(lambda freeze, **base: StochNorm(freeze=Depth(1), **base)))
    strategy.train()
    before = strategy.network.get_submodule(LAYER).running_mean.clone()
    assert seen(strategy).equal(seen(strategy))
    assert strategy.network.get_submodule(LAYER).running_mean.equal(before)


def test_layers_with_a_built_in_activation_work():
    options = {"pretrained_cfg_overlay": {"input_size": [3, 64, 64]}}
    network = Network(Timm("test_efficientnet", options=options), 3)
    strategy = make(lambda **base: StochNorm(**{**base, "network": network}, p=0.0))
    torch.manual_seed(0)
    x = torch.randn(4, 3, 64, 64)
    plain = deepcopy(network)
    for layer in plain.modules():
        without_hooks(layer)
    assert strategy.network(x)[1].equal(plain(x)[1])


def test_a_backbone_without_batch_norm_is_refused():
    bare = Network(SequentialBackbone({"linear": nn.Linear(5, 6)}, VectorFormat(5), 6), 3)
    with pytest.raises(LandbridgeError, match="strategy StochNorm: SequentialBackbone has no BatchNorm layers"):
        make(lambda network, **base: StochNorm(network=bare, **base))


def test_an_ordinary_run_can_start_from_the_checkpoint(tiny, tmp_path):
    tiny("strategy=stoch_norm", "target_labels=2", folder="before")
    checkpoint = tmp_path / "before" / "last.ckpt"
    record = tiny("strategy=source_only", "start=checkpoint", f"start.path={checkpoint}", folder="after")
    assert (record.start["initialised"], record.start["skipped"]) == ([], [])
