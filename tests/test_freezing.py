"""Freezing depth as a pure function of the epoch."""

import pytest

from landbridge.errors import LandbridgeError
from landbridge.freezing import Depth

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
    assert str(error.value) == "freeze.depth=5: the backbone has 4 stages: 1 stem, 2 layer1, 3 layer2, 4 head"


def test_a_run_says_so_too(tiny):
    with pytest.raises(LandbridgeError, match=r"freeze\.depth=3: the backbone has 2 stages: 1 conv, 2 bottleneck"):
        tiny("freeze.depth=3")
