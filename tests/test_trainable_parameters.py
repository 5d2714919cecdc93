"""Which parameters train in which epoch, from the freezing policy, the tuning and the strategy together."""

import pytest

from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import MLP
from landbridge.models.network import Network
from landbridge.training.freezing import Depth, Freezing, Gradual, LinearThenFull, Surgical
from landbridge.training.trainable_parameters import TrainableParameters


class DownToTheSecond(Freezing):
    """One more stage trains in each epoch, but never the first."""

    def trainable(self, epoch, stages):
        return frozenset(range(max(3 - epoch, 1), len(stages)))


class InTurns(Freezing):
    """Only one stage trains in each epoch, from the last one on."""

    def trainable(self, epoch, stages):
        return frozenset({len(stages) - 1 - epoch})


class InTurnsThenNone(InTurns):
    """No stage trains from the third epoch on."""

    def trainable(self, epoch, stages):
        return super().trainable(epoch, stages) if epoch < 2 else frozenset()


def trainable(policy, head=True):
    return TrainableParameters(Network(MLP(shape=(5,), widths=(7, 6, 5, 4)), 3), policy, head)


def stages_that_train(of):
    backbone = of.network.backbone
    return {backbone.stage_of[name] for name, each in backbone.named_parameters() if each.requires_grad}


def head_trains(of):
    return {each.requires_grad for each in of.network.head.parameters()} == {True}


@pytest.mark.parametrize(
    ("policy", "depth"),
    [
        *[(DownToTheSecond(epochs=epochs), depth) for epochs, depth in ((1, 3), (2, 2), (3, 1), (9, 1))],
        *[(InTurns(epochs=epochs), depth) for epochs, depth in ((1, 3), (2, 2), (4, 0))],
        (Depth(0), 0),
        (Depth(2, epochs=3), 2),
        (Depth("all"), 4),
        (Gradual(epochs=1), 4),
        (Gradual(epochs=3), 2),
        (Gradual(at=[0, 2], epochs=2), 3),
        (Surgical([2, 4]), 1),
        (Surgical(1), 0),
        (LinearThenFull(epochs=2), 0),
    ],
)
def test_the_frozen_depth_counts_stages_that_train_in_no_epoch(policy, depth):
    found = trainable(policy)
    assert found.frozen_depth == depth
    assert all(min(found.stages(epoch), default=4) >= depth for epoch in range(policy.epochs))
    assert depth == 4 or any(depth in found.stages(epoch) for epoch in range(policy.epochs))


@pytest.mark.parametrize(
    ("policy", "changes"),
    [
        (Depth(1, epochs=5), False),
        (Surgical(2, epochs=5), False),
        (Gradual(epochs=1), False),
        (Gradual(epochs=2), True),
        (LinearThenFull(epochs=2), True),
    ],
)
def test_a_policy_changes_if_a_stage_trains_in_some_epochs_only(policy, changes):
    assert trainable(policy).changes is changes


def test_ever_contains_all_stages_that_train_in_some_epoch():
    found = trainable(InTurns(epochs=3))
    assert [found.stages(epoch) for epoch in range(3)] == [{3}, {2}, {1}]
    assert found.ever == {1, 2, 3}


def test_apply_sets_the_stages_that_train_and_can_be_repeated():
    found = trainable(Depth(0))
    for stages in ({1, 3}, set(), {0, 1, 2, 3}, {2}):
        found.apply(frozenset(stages))
        assert stages_that_train(found) == stages
        assert head_trains(found)


@pytest.mark.parametrize(
    ("policy", "strategy_lets", "trains"),
    [
        (Depth(1), True, True),
        (Depth(1), False, False),
        (Surgical(1, head=False), True, False),
        (Surgical(1, head=False), False, False),
    ],
)
def test_the_head_trains_if_neither_policy_nor_strategy_freezes_it(policy, strategy_lets, trains):
    found = trainable(policy, head=strategy_lets)
    found.apply(found.ever)
    assert head_trains(found) is trains
    assert stages_that_train(found) == found.ever


def test_a_parameter_that_the_tuning_freezes_does_not_train_in_a_stage_that_trains():
    found = trainable(Depth(1))
    found.network.backbone.hold({"layer3.1.weight"})
    found.apply(found.ever)
    backbone = dict(found.network.backbone.named_parameters())
    assert not backbone["layer3.1.weight"].requires_grad
    assert backbone["layer3.2.weight"].requires_grad
    assert not backbone["layer1.1.weight"].requires_grad


def test_an_epoch_without_training_is_refused_with_its_number():
    with pytest.raises(
        LandbridgeError, match="freeze Gradual: nothing trains in epoch 1: all stages are frozen, and X"
    ):
        trainable(Gradual(epochs=3)).require_work(False, "X")
    with pytest.raises(LandbridgeError, match="nothing trains in epoch 3"):
        trainable(InTurnsThenNone(epochs=3)).require_work(False, "X")
    trainable(Gradual(epochs=3)).require_work(True, "X")
    trainable(Depth(3)).require_work(False, "X")
