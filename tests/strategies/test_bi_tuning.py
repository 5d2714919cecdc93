import pytest
import torch
from small_problem import CLASSES, make, output, parts
from test_fixmatch import fixmatch
from torch.nn.functional import normalize

from landbridge.errors import LandbridgeError
from landbridge.losses import bi_tuning
from landbridge.strategies import BiTuning
from landbridge.strategies.fine_tuning.bi_tuning import enqueued
from landbridge.training.freezing import Depth


@pytest.fixture
def strategy():
    return fixmatch(BiTuning, keys=4, projection=5)


def streams(strategy, n=7):
    torch.manual_seed(2)
    x, other = torch.randn(2, n, 1, 28, 28)
    y = torch.arange(n) % CLASSES
    with torch.no_grad():
        keys = strategy.key_network(other)
    return output("target", *strategy.network(x), y=y), output("target_keys", *keys, y=y)


def test_the_contrastive_losses_of_projector_and_head_are_those_of_the_definition(strategy):
    target, keys = streams(strategy)
    contrast = strategy.loss(target, keys)["contrast"]
    ones = torch.ones(7, 1)
    weights = normalize(torch.cat([strategy.network.head.weight, strategy.network.head.bias[:, None]], 1), dim=1)
    h = normalize(torch.cat([target.features, ones], 1), dim=1)
    z, z_keys = normalize(strategy.projector(target.features)), normalize(strategy.key_projector(keys.features))
    by_head = torch.zeros(7, CLASSES, 4)
    by_projector = torch.zeros(7, CLASSES, 4)
    for i in range(7):
        for label in range(CLASSES):
            for k in range(4):
                by_head[i, label, k] = strategy.queued_features[label, k] @ weights[target.y[i]]
                by_projector[i, label, k] = strategy.queued_projections[label, k] @ z[i]
    own_head = torch.stack([h[i] @ weights[target.y[i]] for i in range(7)])
    own_projector = torch.stack([z[i] @ z_keys[i] for i in range(7)])
    expected = bi_tuning(own_head, by_head, target.y) + bi_tuning(own_projector, by_projector, target.y)
    torch.testing.assert_close(contrast, expected)
    assert parts(strategy, contrast) == {"backbone", "projector"}


def test_queues_begin_with_normalised_keys(strategy):
    for queue in (strategy.queued_features, strategy.queued_projections):
        torch.testing.assert_close(queue.norm(dim=2), torch.ones(CLASSES, 4))


@pytest.mark.parametrize("n", [1, 5, 11])
def test_the_oldest_keys_of_a_class_are_replaced_first(n):
    generator = torch.Generator().manual_seed(n)
    k, queues = 3, [[(label, age) for age in range(3)] for label in range(CLASSES)]
    number = {pair: float(10 * label + age) for label, row in enumerate(queues) for age, pair in enumerate(row)}
    queue = torch.tensor([[[number[pair]] for pair in row] for row in queues])
    oldest = torch.zeros(CLASSES, dtype=torch.long)
    expected = [[number[pair] for pair in row] for row in queues]  # oldest first
    for step in range(4):
        y = torch.randint(CLASSES, (n,), generator=generator)
        keys = torch.arange(n, dtype=torch.float).unsqueeze(1) + 100 * (step + 1)
        queue = enqueued(queue, oldest, keys, y)
        counts = torch.bincount(y, minlength=CLASSES)
        oldest = (oldest + counts) % k
        for label, key in zip(y.tolist(), keys[:, 0].tolist(), strict=True):
            expected[label] = [*expected[label][1:], key]
        found = [queue[label, :, 0].roll(-int(oldest[label])).tolist() for label in range(CLASSES)]
        assert found == expected


@pytest.mark.parametrize(("decay", "follows"), [(0.0, True), (0.9, False)])
def test_keys_come_from_a_moving_average_and_are_queued(decay, follows, tiny, tmp_path):
    tiny("strategy=bi_tuning", "target_labels=2", f"strategy.decay={decay}", "optimizer=sgd", "data.steps_per_epoch=3")
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    pairs = {name: f"key_{name}" for name in state if name.startswith(("network.head", "projector"))}
    assert len(pairs) == 4
    assert all(state[name].equal(state[key]) is follows for name, key in pairs.items())
    # There are three batches of the six labelled samples, each with two keys of each class.
    assert state["oldest"].tolist() == [6, 6, 6]
    torch.testing.assert_close(state["queued_features"].norm(dim=2), torch.ones(3, 40))


def test_frozen_stages_of_the_key_network_do_not_change():
    strategy = fixmatch(BiTuning, freeze=Depth(1))
    strategy.train()
    modes = {name: module.training for name, module in strategy.key_network.named_modules()}
    assert modes == {name: module.training for name, module in strategy.network.named_modules()}
    assert not modes["backbone.layer1.2"]
    assert modes["backbone.layer2.2"]
    assert not any(parameter.requires_grad for parameter in strategy.key_network.parameters())


def test_a_backbone_for_vectors_is_refused():
    with pytest.raises(LandbridgeError, match="BiTuning augments images, but the backbone takes vector inputs"):
        make(BiTuning)
