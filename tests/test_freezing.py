"""Tests of freezing policies as pure functions of the epoch."""

import pytest

from landbridge.errors import LandbridgeError
from landbridge.training.freezing import Depth, Gradual, LinearThenFull, Surgical

STAGES = ("stem", "layer1", "layer2", "head")


@pytest.mark.parametrize(
    ("depth", "trainable"), [(0, {0, 1, 2, 3}), (1, {1, 2, 3}), (3, {3}), (4, set()), ("all", set())]
)
@pytest.mark.parametrize("epoch", [0, 7])
def test_depth_counts_stages_from_the_input(depth, trainable, epoch):
    assert Depth(depth).trainable(epoch, STAGES) == trainable


def test_a_depth_beyond_the_last_stage_lists_the_stages():
    with pytest.raises(LandbridgeError) as error:
        Depth(5).trainable(0, STAGES)
    assert str(error.value) == (
        "freeze.depth=5 is larger than the number of stages: "
        "the backbone has 4 stages: 1 stem, 2 layer1, 3 layer2, 4 head"
    )


def test_a_run_refuses_a_depth_beyond_the_last_stage(tiny):
    with pytest.raises(
        LandbridgeError, match=r"freeze\.depth=3 is larger .*: the backbone has 2 stages: 1 conv, 2 bottleneck"
    ):
        tiny("freeze.depth=3")


# Gradual --------------------------------------------------------------------------------------------------------------


def over_epochs(policy, stages=STAGES):
    return [sorted(policy.trainable(epoch, stages)) for epoch in range(policy.epochs)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[], [3], [2, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]),
        ({"every": 2}, [[], [], [3], [3], [2, 3], [2, 3]]),
        ({"at": [0, 0, 4]}, [[2, 3], [2, 3], [2, 3], [2, 3], [1, 2, 3], [1, 2, 3]]),
        ({"at": []}, [[]] * 6),
    ],
)
def test_gradual_unfreezes_stages_from_the_last_to_the_first(settings, expected):
    policy = Gradual(epochs=6, **settings)
    assert over_epochs(policy) == expected
    assert sorted(policy.ever(STAGES)) == expected[-1]


def test_a_stage_that_a_short_training_does_not_reach_never_trains():
    assert Gradual(epochs=3).ever(STAGES) == {2, 3}


def test_more_entries_of_at_than_stages_are_refused():
    with pytest.raises(
        LandbridgeError, match=r"freeze\.at=\[0, 1, 2\] unfreezes 3 stages: the backbone has 2 stages: 1 a"
    ):
        Gradual(at=[0, 1, 2]).trainable(0, ("a", "b"))


# Surgical -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "expected"), [(1, [0]), ([2, 3], [1, 2]), ("layer2", [2]), (["stem", 4], [0, 3]), ([4, 4], [3])]
)
def test_surgical_takes_numbers_from_1_and_names(stages, expected):
    assert over_epochs(Surgical(stages, epochs=2)) == [expected, expected]


@pytest.mark.parametrize(
    ("stages", "message"),
    [(5, "no stage 5; the backbone has 4 stages: 1 stem"), ("layer3", "no stage layer3, nearest: l")],
)
def test_surgical_lists_the_stages_of_the_backbone(stages, message):
    with pytest.raises(LandbridgeError, match=rf"freeze\.stages: {message}"):
        Surgical(stages).trainable(0, STAGES)


# Linear, then full ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "epochs", "probing"), [(0.5, 4, 2), (0.3, 10, 3), (0.01, 5, 1), (0.99, 5, 4)])
def test_linear_then_full_has_two_phases_within_the_planned_epochs(share, epochs, probing):
    policy = LinearThenFull(share, full_lr_scale=0.2, epochs=epochs)
    assert over_epochs(policy) == [[]] * probing + [[0, 1, 2, 3]] * (epochs - probing)
    assert [policy.lr_scale(epoch) for epoch in range(epochs)] == [1.0] * probing + [0.2] * (epochs - probing)


def test_two_phases_in_one_epoch_are_refused(tiny):
    with pytest.raises(LandbridgeError, match=r"two phases need trainer\.max_epochs of at least 2, not 1"):
        tiny("freeze=linear_then_full")


@pytest.mark.parametrize("policy", [Depth(1), Gradual(epochs=5), Surgical(2), LinearThenFull(epochs=3)])
def test_a_policy_gives_the_same_stages_in_any_order_of_epochs(policy):
    forwards = over_epochs(policy)
    assert [sorted(policy.trainable(epoch, STAGES)) for epoch in reversed(range(policy.epochs))] == forwards[::-1]
