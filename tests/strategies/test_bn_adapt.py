import numpy as np
import pytest
import torch
from online_stream import differences, predict, state, stream
from small_problem import make

from landbridge.errors import LandbridgeError
from landbridge.strategies import BNAdapt


def by_hand(strategy, arriving, momentum):
    """The network in numpy. A batch updates each layer's statistics, and is then normalised by them."""
    tensors = {name: value.double().numpy() for name, value in strategy.network.state_dict().items()}
    for batch in arriving:
        x = batch["x"].tensors[0].double().numpy()
        for layer in ("backbone.layer1", "backbone.layer2"):
            x = x @ tensors[f"{layer}.1.weight"].T
            for kind, seen in (("mean", x.mean(0)), ("var", x.var(0, ddof=1))):
                tensors[f"{layer}.2.running_{kind}"] = (1 - momentum) * tensors[
                    f"{layer}.2.running_{kind}"
                ] + momentum * seen
            x = (x - tensors[f"{layer}.2.running_mean"]) / np.sqrt(tensors[f"{layer}.2.running_var"] + 1e-5)
            x = np.maximum(x * tensors[f"{layer}.2.weight"] + tensors[f"{layer}.2.bias"], 0)
        yield x @ tensors["head.weight"].T + tensors["head.bias"]


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
def test_statistics_are_updated_by_a_batch_before_they_normalise_it(momentum):
    strategy = make(BNAdapt, momentum=momentum)
    for layer in strategy._layers:
        layer.running_mean.normal_()
        layer.running_var.uniform_(1, 2)
    arriving = stream(20, 20, 9)
    for output, expected in zip(predict(strategy, arriving), by_hand(strategy, arriving, momentum), strict=True):
        np.testing.assert_allclose(output.logits, expected, atol=1e-4)


def test_without_momentum_predictions_are_those_of_the_source_model():
    strategy = make(BNAdapt, momentum=0.0)
    arriving = stream(20, 20)
    for output, batch in zip(predict(strategy, arriving), arriving, strict=True):
        assert output.logits.equal(strategy.eval().network(batch["x"])[1])


def test_the_share_of_the_source_falls_and_only_statistics_change(monkeypatch):
    strategy = make(BNAdapt, momentum=0.2)
    before = state(strategy)
    (first, _), repeated = strategy._layers, stream(20) * 3
    start, seen = first.running_mean.clone(), []
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean(0)))
    monkeypatch.setattr(strategy, "reset", lambda: None)
    predict(strategy, repeated)
    torch.testing.assert_close(first.running_mean, 0.8**3 * start + (1 - 0.8**3) * seen[0])
    assert differences(before, state(strategy)) == {
        f"network.backbone.layer{layer}.2.running_{kind}" for layer in (1, 2) for kind in ("mean", "var")
    }


def test_every_stream_starts_from_the_source_model():
    strategy = make(BNAdapt, momentum=0.5)
    before = state(strategy)
    alone = predict(strategy, stream(20, 20))
    predict(strategy, stream(16, 16, 16, name="source"))
    again = predict(strategy, stream(20, 20))
    assert not differences(before, state(strategy))
    assert all(one.logits.equal(other.logits) for one, other in zip(alone, again, strict=True))
    assert strategy.parameter_counts()[1] == 2 * (7 + 6)


def test_a_single_sample_is_refused():
    with pytest.raises(LandbridgeError, match=r"one sample \(target\) has no statistics"):
        predict(make(BNAdapt), stream(1))
