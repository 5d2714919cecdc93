"""Label smoothing, against PyTorch's own, in every task whose labels are classes."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, MultiLabel, OpenSet, Regression, Several

THREE = ("bar", "beam", "cross")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("task", [Classification(THREE), OpenSet(THREE[:2])])
def test_the_loss_of_classes_is_that_of_pytorch(task, share):
    logits, y = torch.randn(20, task.outputs), torch.randint(task.outputs, (20,))
    smoothed = task.smoothed(share)
    expected = cross_entropy(logits, y, label_smoothing=share)
    assert torch.equal(smoothed.loss(logits, y), expected)
    torch.testing.assert_close(smoothed.losses(logits, y).mean(), expected)
    assert type(smoothed) is type(task)
    assert smoothed.describe() == task.describe()


def test_each_of_several_labels_is_a_choice_between_two_classes():
    logits, y = torch.randn(20, 2), torch.randint(2, (20, 2)).float()
    y[0, 0] = math.nan
    both = torch.stack([torch.zeros_like(logits), logits], dim=2).flatten(0, 1)
    each = cross_entropy(both, y.nan_to_num().long().flatten(), reduction="none", label_smoothing=0.2).view(20, 2)
    expected = torch.where(y.isnan(), 0.0, each).sum(1) / (~y.isnan()).sum(1)
    torch.testing.assert_close(MultiLabel(("eye", "tail")).smoothed(0.2).losses(logits, y), expected)


def test_several_tasks_smooth_their_classes_and_leave_numbers():
    tasks = {"shape": Classification(THREE), "size": Regression(("width",))}
    smoothed = Several(tasks).smoothed(0.2)
    assert (smoothed.tasks["shape"].smoothing, smoothed.tasks["size"]) == (0.2, tasks["size"])


@pytest.mark.parametrize("task", [Regression(("width",)), Several({"size": Regression(("width",))})])
def test_numbers_are_not_smoothed(task):
    assert task.smoothed(0.0) is task
    with pytest.raises(LandbridgeError, match=r"label_smoothing=0\.1 smooths classes, and the target's task is"):
        task.smoothed(0.1)


def test_a_run_trains_on_smoothed_labels_and_scores_are_those_of_the_labels(tiny):
    plain, smooth = tiny(folder="plain"), tiny("label_smoothing=0.3", folder="smooth")
    assert smooth.epochs[0]["losses"]["supervised"] != plain.epochs[0]["losses"]["supervised"]
    assert smooth.fingerprint != plain.fingerprint
    assert plain.fingerprint == tiny("label_smoothing=0.0", folder="zero").fingerprint
    probes = [
        tiny("strategy=linear_probes", "target_labels=2", "strategy.factors=[3.0]", *more, folder=f"probe{len(more)}")
        for more in ([], ["label_smoothing=0.3"])
    ]
    for term in ("supervised", "others"):
        one, other = (record.epochs[0]["losses"][term] for record in probes)
        assert one != other
