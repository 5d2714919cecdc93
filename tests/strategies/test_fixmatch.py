import pytest
import torch
from small_problem import CLASSES, make, output

from landbridge.data.activations import Activation
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import MLP
from landbridge.models.network import Network
from landbridge.strategies import AdaMatch, FixMatch
from landbridge.training.freezing import Depth
from landbridge.training.schedules import Constant


def fixmatch(method=FixMatch, **settings):
    """A strategy on images of 28 x 28."""
    torch.manual_seed(0)
    base = {"freeze": Depth(), "optimizer": torch.optim.SGD, "schedule": Constant(), "steps": 100, "terms": {}}
    return method(**{"network": Network(MLP(widths=(7, 6)), CLASSES), **base, **settings})


def streams():
    features = torch.zeros(4, 6)
    weak = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [1.0, 0, 0], [0, 0, 0]], requires_grad=True)
    strong = torch.zeros(4, CLASSES, requires_grad=True)
    source = output("source", features, torch.zeros(4, CLASSES), torch.zeros(4, dtype=torch.long))
    return source, output("target_unlabelled", features, weak), output("target_strong", features, strong)


def test_strong_views_are_trained_on_confident_predictions_for_weak_views():
    source, weak, strong = streams()
    agree = fixmatch(threshold=0.9).loss(source, weak, strong)["agree"]
    agree.backward()
    assert weak.logits.grad is None
    assert (strong.logits.grad[[0, 1], [0, 1]] < 0).all()
    assert not strong.logits.grad[2:].any()


def test_with_threshold_one_only_labels_are_used():
    terms = fixmatch(threshold=1.0).loss(*streams())
    assert terms["agree"] == 0
    assert terms["supervised"] > 0


def test_the_moving_average_is_that_of_the_definition():
    strategy = fixmatch(decay=0.5)
    start = {name: value.clone() for name, value in strategy.network.named_parameters()}
    for parameter in strategy.network.parameters():
        parameter.data += 1
    for buffer in strategy.network.buffers():
        buffer += 3
    strategy.batches_seen = 1
    strategy.on_train_batch_end(None, None, 0)  # (1 + 1) / (10 + 1) is less than 0.5
    for name, value in strategy.averaged.named_parameters():
        torch.testing.assert_close(value, start[name] + 9 / 11)
    strategy.batches_seen = 1000
    strategy.on_train_batch_end(None, None, 0)
    for name, value in strategy.averaged.named_parameters():
        torch.testing.assert_close(value, start[name] + 1 - 1 / 11)
    for mine, theirs in zip(strategy.averaged.buffers(), strategy.network.buffers(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_average_is_evaluated_and_saved():
    strategy = fixmatch()
    batch = {"x": Activation(0, (torch.zeros(4, 1, 28, 28, dtype=torch.uint8),)), "index": torch.arange(4)}
    for parameter in strategy.averaged.parameters():
        parameter.zero_()
    assert not strategy.eval().encode("target", batch).logits.any()
    assert strategy.train().encode("target", batch).logits.any()
    assert not any(parameter.requires_grad for parameter in strategy.averaged.parameters())
    kept = strategy.state_dict()
    assert {f"averaged.{name}" for name in strategy.network.state_dict()} <= kept.keys()


def test_every_view_is_a_separate_batch(tiny, tmp_path):
    tiny("strategy=fixmatch", "target_labels=2")
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    # There are two steps, each with source, target, and both views of the unlabelled target.
    tracked = [int(value) for name, value in state.items() if name.endswith("num_batches_tracked")]
    assert tracked == 4 * [8]
    differs = [
        not torch.equal(state[f"averaged.head.{name}"], state[f"network.head.{name}"]) for name in ("weight", "bias")
    ]
    assert differs == [True, True]


@pytest.mark.parametrize("method", [FixMatch, AdaMatch])
def test_a_backbone_for_vectors_is_refused(method):
    with pytest.raises(LandbridgeError, match=f"{method.__name__} augments images, but the backbone takes vector"):
        make(method)
