"""Class weights beside scikit-learn and torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from torch.nn.functional import cross_entropy

from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, MultiLabel, Regression, TaskSettings, classes_of

TASK = Classification(tuple("abcdef"))
BALANCED = TaskSettings("balanced")
LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(torch.tensor)


@given(LABELS)
def test_weights_equal_those_of_scikit_learn(y):
    weights = BALANCED.weights(TASK, y)
    assert weights is not None
    np.testing.assert_allclose(weights, compute_sample_weight("balanced", y.numpy()), rtol=1e-6)
    classes = np.unique(y.numpy())
    by_class = compute_class_weight("balanced", classes=classes, y=y.numpy())
    assert {int(c): pytest.approx(w) for c, w in zip(classes, by_class, strict=True)} == {
        int(c): float(w) for c, w in zip(y, weights, strict=True)
    }
    assert float(weights.mean()) == pytest.approx(1)


@given(LABELS, st.integers(0, 2**31))
def test_the_loss_equals_that_of_torch_with_the_same_weights(y, seed):
    logits = torch.randn(len(y), 6, generator=torch.Generator().manual_seed(seed))
    by_class = torch.zeros(6)  # classes without a label have no sample, so their weight has no effect
    classes = np.unique(y.numpy())
    by_class[classes] = torch.from_numpy(compute_class_weight("balanced", classes=classes, y=y.numpy())).float()
    weights = BALANCED.weights(TASK, y)
    found = TASK.loss(logits, y, weights=weights)
    torch.testing.assert_close(found, cross_entropy(logits, y, by_class, reduction="none").mean())
    # Over all labelled samples, the weights add up to their number, by which torch divides.
    torch.testing.assert_close(found, cross_entropy(logits, y, by_class))


def test_without_weights_nothing_is_computed():
    y = torch.tensor([0, 1])
    assert TaskSettings().weights(Regression(("size",)), y) is None


@pytest.mark.parametrize("task", [Regression(("size",)), MultiLabel(("a", "b"))])
def test_a_task_without_one_class_a_sample_has_no_balance(task):
    kind = task.kind.replace("_", " ")
    with pytest.raises(LandbridgeError, match=f"^task.class_weights=balanced balances .* task is {kind}: leave it"):
        BALANCED.weights(task, torch.zeros(3, 2))
    with pytest.raises(LandbridgeError, match=f"^data.sampler=balanced balances the classes .* task is {kind}: leave"):
        classes_of(task, torch.zeros(3, 2), "data.sampler=balanced")
