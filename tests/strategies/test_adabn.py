import numpy as np
import pytest
import torch
from small_problem import make
from torch import nn

import landbridge.run.run
from dusk import assert_exact_statistics
from landbridge.data.formats import VectorFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.network import Network
from landbridge.strategies import AdaBN
from landbridge.training.batch_norm_statistics import Moments
from landbridge.training.freezing import Depth


@pytest.fixture
def adabn(tiny, tmp_path):
    """A function that runs AdaBN, and returns its record, the source model's weights and the adapted weights."""

    def launch(*overrides, folder="run"):
        cache = tmp_path / "cache"
        record = tiny("strategy=adabn", "start.max_epochs=2", f"start.cache={cache}", *overrides, folder=folder)
        (source,) = cache.glob("*/last.ckpt")
        paths = source, tmp_path / folder / "last.ckpt"
        return record, *(torch.load(path, weights_only=True)["state_dict"] for path in paths)

    return launch


@pytest.mark.parametrize("batch", [5, 7, 256])  # 36 samples: the last batch is partial, or there is just one
def test_statistics_are_those_of_the_pooled_layer_inputs(adabn, batch):
    _, _, state = adabn(f"data.eval_batch_size={batch}")
    assert_exact_statistics(state)


def test_no_weight_changes_and_no_source_is_read_after_the_start(adabn):
    record, before, after = adabn()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {
        f"network.backbone.{stage}.{kind}"
        for stage in ("conv.1", "bottleneck.2")
        for kind in ("running_mean", "running_var")
    }
    assert record.cost["trainable_parameters"] == 0
    assert record.epochs[0]["losses"] == {}


def test_frozen_stages_keep_their_statistics(adabn):
    _, before, after = adabn("freeze.depth=1")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {"network.backbone.bottleneck.2.running_mean", "network.backbone.bottleneck.2.running_var"}


def test_a_resumed_run_stops_after_one_epoch(adabn, monkeypatch):
    straight, _, state = adabn("trainer.max_epochs=5")
    assert len(straight.epochs) == 1

    with monkeypatch.context() as patch:
        patch.setattr(landbridge.run.run, "test_domains", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            adabn("trainer.max_epochs=5", folder="resumed")
    resumed, _, again = adabn("trainer.max_epochs=5", folder="resumed")
    assert resumed.results == straight.results
    assert len(resumed.epochs) == 1
    assert all(state[name].equal(again[name]) for name in state)


def test_a_network_without_layers_to_adapt_is_refused():
    bare = Network(SequentialBackbone({"linear": nn.Linear(5, 6)}, VectorFormat(5), 6), 3)
    with pytest.raises(LandbridgeError, match=r"AdaBN has nothing to adapt: SequentialBackbone has no BatchNorm"):
        make(lambda network, **base: AdaBN(network=bare, **base))
    with pytest.raises(LandbridgeError, match=r"every BatchNorm layer .* is frozen; lower freeze\.depth"):
        make(lambda freeze, **base: AdaBN(freeze=Depth("all"), **base))


def test_auxiliary_losses_are_refused_without_gradient_steps(adabn):
    message = "terms: mcc cannot act on strategy AdaBN: it takes no gradient steps"
    with pytest.raises(LandbridgeError, match=message):
        adabn("terms={mcc: 1.0}")


@pytest.mark.parametrize("shape", [(1, 3), (5, 3), (2, 3, 4, 4), (6, 3, 2)])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_moments_are_pooled_over_batches_of_any_size(shape, offset):
    generator = torch.Generator().manual_seed(0)
    parts = [offset + torch.randn(n, *shape[1:], generator=generator) * (n + 1) + 10 * n for n in (shape[0], 4, 1, 9)]
    moments, layer = Moments(), nn.BatchNorm1d(3)
    for part in parts:
        moments.add(part)
    moments.fill(layer)
    pooled = np.moveaxis(torch.cat(parts).double().numpy(), 1, 0).reshape(3, -1)
    np.testing.assert_allclose(layer.running_mean, pooled.mean(1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.running_var, pooled.var(1, ddof=1), rtol=1e-5)
