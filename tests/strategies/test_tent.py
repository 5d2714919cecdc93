from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from online_stream import differences, predict, state, stream
from small_problem import make
from torch import nn

from landbridge.data.formats import VectorFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.network import Network
from landbridge.record import read_arrays
from landbridge.strategies import TENT
from landbridge.training.freezing import Depth

AFFINE = {f"network.backbone.layer{layer}.2.{kind}" for layer in (1, 2) for kind in ("weight", "bias")}


def around(*parts: nn.Module, **settings):
    """TENT with a network of the given parts and a bottleneck of 6 features."""
    backbone = SequentialBackbone({str(i): part for i, part in enumerate(parts)}, VectorFormat(5), 6)
    return make(lambda network, **base: TENT(network=Network(backbone, 3), **base), **settings)


def by_hand(network, arriving, lr, steps):
    """The algorithm of the paper in a few lines, with all layers but BatchNorm in evaluation mode."""
    network = deepcopy(network).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.train()
    optimizer = torch.optim.Adam([p for norm in norms for p in norm.parameters()], lr)
    for batch in arriving:
        for _ in range(steps):
            _, logits = network(batch["x"])
            p = logits.softmax(1)
            optimizer.zero_grad()
            (-(p * p.log()).sum(1).mean()).backward()
            optimizer.step()
        yield logits.detach()


@pytest.mark.parametrize("steps", [1, 3])
def test_predictions_are_those_made_before_the_last_update_on_a_batch(steps):
    block = (nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5))
    strategy = around(nn.Sequential(*block), lr=0.05, steps_per_batch=steps)
    arriving = stream(20, 20, 13)
    expected = list(by_hand(strategy.network, arriving, 0.05, steps))
    outputs = predict(strategy, arriving)
    for output, logits, batch in zip(outputs, expected, arriving, strict=True):
        torch.testing.assert_close(output.logits, logits)
        assert output.index.equal(batch["index"])
        assert not output.logits.requires_grad
    unadapted = next(by_hand(strategy.network, arriving[2:], 0.05, 1))
    assert (outputs[2].logits - unadapted).abs().max() > 0.01  # the adaptation to a batch has an effect on the next


def test_only_affine_parameters_of_normalisation_layers_change(monkeypatch):
    strategy = make(TENT)
    before = state(strategy)
    monkeypatch.setattr(strategy, "reset", lambda: None)
    predict(strategy, stream(20, 20))
    assert differences(before, state(strategy)) == AFFINE
    assert strategy.parameter_counts()[1] == 2 * (7 + 6)
    assert [layer.momentum for layer in strategy.modules() if isinstance(layer, nn.BatchNorm1d)] == [0.1, 0.1]


def test_every_stream_starts_from_the_source_model():
    strategy = make(TENT, lr=0.1)
    before = state(strategy)
    alone = predict(strategy, stream(20, 20))
    assert not differences(before, state(strategy))
    predict(strategy, stream(16, 16, 16, name="source"))
    assert not differences(before, state(strategy))
    again = predict(strategy, stream(20, 20))
    assert all(one.logits.equal(other.logits) for one, other in zip(alone, again, strict=True))
    # The running statistics are used again, too.
    network = strategy.eval().network
    one, other = (network(stream(20)[0]["x"].take(rows))[1][0] for rows in (torch.arange(1), torch.arange(20)))
    torch.testing.assert_close(one, other)
    assert all(layer.track_running_stats for layer in strategy.modules() if isinstance(layer, nn.BatchNorm1d))


def test_a_small_step_lowers_the_entropy():
    strategy = make(TENT, lr=1e-3)
    repeated = stream(20) * 5
    entropies = [
        torch.distributions.Categorical(logits=output.logits).entropy().mean() for output in predict(strategy, repeated)
    ]
    assert all(later < earlier for earlier, later in pairwise(entropies))


def test_other_normalisation_layers_are_adapted_also_by_single_samples(monkeypatch):
    strategy = around(nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.GroupNorm(2, 6, affine=False)))
    before = state(strategy)
    monkeypatch.setattr(strategy, "reset", lambda: None)
    predict(strategy, stream(4, 1))
    assert differences(before, state(strategy)) == {"network.backbone.0.1.weight", "network.backbone.0.1.bias"}


def test_networks_and_batches_that_cannot_be_adapted_are_refused():
    with pytest.raises(
        LandbridgeError, match="TENT has nothing to adapt: SequentialBackbone has no normalisation layer with"
    ):
        around(nn.Linear(5, 6), nn.BatchNorm1d(6, affine=False))
    with pytest.raises(LandbridgeError, match=r"every normalisation layer .* is frozen; lower freeze\.depth"):
        make(lambda freeze, **base: TENT(freeze=Depth("all"), **base))
    with pytest.raises(
        LandbridgeError, match=r"one sample \(target\) has no statistics; .* strategy\.batch_size than 7"
    ):
        predict(make(TENT, batch_size=7), stream(7, 1))


def test_auxiliary_losses_are_refused_without_training(tiny):
    message = "terms: entropy cannot act on strategy TENT: it is never trained"
    with pytest.raises(LandbridgeError, match=message):
        tiny("strategy=tent", "terms={entropy: 1.0}")


def test_frozen_stages_do_not_change_and_do_not_use_batch_statistics(monkeypatch):
    strategy = make(lambda freeze, **base: TENT(freeze=Depth(1), **base))
    before, arriving = state(strategy), stream(20)
    monkeypatch.setattr(strategy, "reset", lambda: None)
    predict(strategy, arriving)
    assert differences(before, state(strategy)) == {name for name in AFFINE if "layer2" in name}


@pytest.mark.parametrize("strategy", ["tent", "bn_adapt"])
def test_a_run_shuffles_test_samples_and_reports_them_in_the_order_of_the_split(strategy, tiny, tmp_path):
    def logits(*overrides, folder):
        settings = ["start.max_epochs=1", f"start.cache={tmp_path}", "strategy.batch_size=4"]
        record = tiny(f"strategy={strategy}", *settings, *overrides, folder=folder)
        assert record.status == "done"
        assert record.results["target"]["n"] == 12
        return read_arrays(tmp_path / folder / "test_outputs.npz")["target_logits"]

    still = ["strategy.momentum=0"] if strategy == "bn_adapt" else ["strategy.lr=1e-30", "strategy.batch_size=12"]
    stored = logits("strategy.order_seed=null", *still, folder="stored")
    np.testing.assert_allclose(logits("strategy.order_seed=3", *still, folder="shuffled"), stored, atol=1e-5)
    one, other = (logits(f"strategy.order_seed={seed}", folder=f"seed{seed}") for seed in (0, 1))
    assert np.abs(one - other).max() > 1e-4
