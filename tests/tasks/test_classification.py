"""Classification against scikit-learn, and what it makes of classes that a split lacks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import approximately, in_batches
from scipy.special import log_softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from landbridge.errors import LandbridgeError
from landbridge.record import unpack_scores
from landbridge.run.evaluate import judged
from landbridge.tasks import HIDDEN, Classification, OpenSet

THREE = Classification(("ant", "bee", "fly"))


def test_a_split_without_labels_is_not_measured():
    logits, y = torch.randn(5, 3), torch.full((5,), HIDDEN)
    for task in (THREE, OpenSet(THREE.classes)):
        found = judged(task, logits, y)
        assert found["n"] == 0
        assert math.isnan(found["accuracy"])
        assert found["undefined"] == list(THREE.classes)
        assert np.isnan(unpack_scores(found)).tolist() == [True] * 5
        assert math.isnan(task.score(logits, y))
        assert math.isnan(task.score_of_condensed(task.condensed(logits), y))


@given(st.integers(2, 40), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_samples_with_a_hidden_class_do_not_count(n, seed):
    logits, y = problem(n, 3, seed)
    y[torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5] = HIDDEN
    y[0] = 1
    seen = y >= 0
    assert THREE.judge(logits, y) == approximately(THREE.judge(logits[seen], y[seen]))
    assert THREE.score_of_condensed(THREE.condensed(logits), y) == pytest.approx(THREE.score(logits, y))
    scores = unpack_scores(judged(THREE, logits, y))
    assert np.isnan(scores).tolist() == (~seen).tolist()
    assert scores[seen].tolist() == (logits.argmax(1) == y)[seen].tolist()


def task_of(k: int) -> Classification:
    return Classification(tuple(f"c{number}" for number in range(k)))


def problem(n: int, k: int, seed: int, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, k, generator=generator), torch.randint(0, k, (n,), generator=generator)


def surprise(logits: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    return -log_softmax(logits.double().numpy(), axis=1)[np.arange(len(y)), y.numpy()]


@given(st.integers(2, 80), st.integers(2, 14), st.integers(0, 2**31), st.floats(0.1, 30))
@settings(max_examples=60, deadline=None)
def test_metrics_equal_those_of_scikit_learn(n, k, seed, scale):
    logits, y = problem(n, k, seed, scale)
    found = task_of(k).judge(logits, y)
    labels, p = y.numpy(), logits.double().softmax(1).numpy()
    predicted = logits.argmax(1).numpy()
    present = np.unique(labels)
    rest = [c for c in present if (labels == c).sum() < n]
    assert found["n"] == n
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-6)
    recalls = recall_score(labels, predicted, labels=present, average=None)
    assert found["balanced_accuracy"] == pytest.approx(recalls.mean(), abs=1e-6)
    assert found["accuracy_by_class"] == pytest.approx({f"c{c}": r for c, r in zip(present, recalls, strict=True)})
    precision = [average_precision_score(labels == c, p[:, c]) for c in present]
    assert found["average_precision"] == pytest.approx(np.mean(precision), abs=1e-6)
    areas = [roc_auc_score(labels == c, p[:, c]) for c in rest]
    assert found["auroc"] == pytest.approx(np.mean(areas) if areas else math.nan, abs=1e-6, nan_ok=True)
    assert found["nll"] == pytest.approx(surprise(logits, y).mean(), rel=1e-5, abs=1e-6)
    assert found["undefined"] == [f"c{c}" for c in range(k) if c not in rest]
    assert ("top5_accuracy" in found) == (k > 10)
    if k > 10:
        wanted = top_k_accuracy_score(labels, p, k=5, labels=range(k))
        assert found["top5_accuracy"] == pytest.approx(wanted, abs=1e-6)


@given(st.integers(2, 60), st.integers(2, 12), st.integers(0, 2**31), st.data())
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_give_the_same_metrics(n, k, seed, data):
    logits, y = problem(n, k, seed)
    assert in_batches(task_of(k), logits, y, data) == approximately(task_of(k).judge(logits, y))


def test_a_class_without_samples_is_named_and_counts_in_no_mean():
    logits, y = problem(40, 2, 0)
    without = THREE.judge(torch.cat([logits, torch.full((40, 1), -50.0)], 1), y)
    two = Classification(("ant", "bee")).judge(logits, y)
    assert without["undefined"] == ["fly"]
    for metric in ("accuracy", "balanced_accuracy", "auroc", "average_precision"):
        assert without[metric] == pytest.approx(two[metric], abs=1e-6)


def test_with_one_class_there_is_an_accuracy_but_no_auroc():
    found = THREE.judge(torch.eye(3), torch.ones(3, dtype=torch.long))
    assert found["accuracy"] == found["balanced_accuracy"] == pytest.approx(1 / 3)
    assert math.isnan(found["auroc"])
    assert found["undefined"] == ["ant", "bee", "fly"]


@given(st.integers(1, 40), st.integers(0, 2**31), st.data())
@settings(max_examples=40, deadline=None)
def test_the_score_is_the_accuracy_of_samples_with_a_label(n, seed, data):
    logits, y = problem(n, 3, seed)
    hidden = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    y[hidden] = -1
    score = THREE.score(logits, y)
    logits[hidden] = 100 * torch.randn(int(hidden.sum()), 3)
    assert THREE.score(logits, y) == pytest.approx(score, abs=0, nan_ok=True)
    if not hidden.all():
        assert score == pytest.approx(THREE.sample_scores(logits[~hidden], y[~hidden]).mean().item(), abs=1e-6)
        assert score == pytest.approx(THREE.judge(logits[~hidden], y[~hidden])["accuracy"], abs=1e-6)


def test_condensed_outputs_have_the_same_accuracy_and_take_two_bytes():
    logits, y = problem(50, 3, 4)
    condensed = THREE.condensed(logits)
    assert condensed.dtype == torch.int16
    assert THREE.score_of_condensed(condensed, y) == pytest.approx(THREE.score(logits, y))
    logits[0, 1] = math.inf
    assert THREE.condensed(logits)[0] == -1


def test_the_loss_is_the_mean_of_the_losses_of_samples():
    logits, y = problem(30, 3, 5)
    losses = THREE.losses(logits, y)
    assert losses.shape == (30,)
    assert THREE.loss(logits, y).item() == pytest.approx(losses.mean().item())
    assert losses.numpy() == pytest.approx(surprise(logits, y), rel=1e-5, abs=1e-6)


def test_labels_outputs_and_strata():
    assert THREE.outputs == 3
    assert THREE.units(torch.arange(3)) is None
    assert not THREE.has_units
    assert THREE.to_labels(torch.tensor([1.0, 2.0])).dtype == torch.int64
    with pytest.raises(ValueError, match=r"class indices are \(n,\), not \(2, 1\)"):
        THREE.to_labels(torch.zeros(2, 1))
    assert THREE.strata(torch.tensor([2, 0])).tolist() == [2, 0]
    assert THREE.describe() == {
        "kind": "classification",
        "leading": "accuracy",
        "names": ["ant", "bee", "fly"],
        "shown": {"accuracy": "accuracy", "macro_f1": "macro F1", "ece": "calibration error"},
    }


def test_a_budget_is_a_number_per_class():
    y = torch.tensor([0, 0, 1, 1, 2, 0])
    order = torch.tensor([5, 4, 3, 2, 1, 0])
    assert THREE.within(y, 1, order, False, "zoo").nonzero().flatten().tolist() == [3, 4, 5]
    assert THREE.within(y, 2, order, True, "zoo").nonzero().flatten().tolist() == [1, 2, 3, 4, 5]
    assert THREE.within(y, "all", order, False, "zoo").all()
    with pytest.raises(LandbridgeError, match="zoo has only 1 samples of class 'fly'; ask for at most 1 or for all"):
        THREE.within(y, 2, order, False, "zoo")
