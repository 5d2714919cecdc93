"""Tasks with several classes a sample, against scikit-learn, with missing labels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from judging import approximately, in_batches
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from landbridge.tasks import MultiLabel

THREE = MultiLabel(("ant", "bee", "fly"))
seeds = st.integers(0, 2**31)


def task_of(k: int) -> MultiLabel:
    return MultiLabel(tuple(f"c{number}" for number in range(k)))


def problem(n: int, k: int, seed: int, missing: float = 0.0, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, k, generator=generator) < 0.4).float()
    outputs = scale * torch.randn(n, k, generator=generator) + y
    y[torch.rand(n, k, generator=generator) < missing] = math.nan
    return outputs, y


@given(st.integers(1, 80), st.integers(1, 6), seeds, st.sampled_from([0.0, 0.4]), st.sampled_from([1.0, 30.0]))
@settings(max_examples=60, deadline=None)
def test_metrics_equal_those_of_scikit_learn(n, k, seed, missing, scale):
    logits, y = problem(n, k, seed, missing, scale)
    assume(not bool(y.isnan().all()))  # `Task.unmeasured` has a test of its own
    found = task_of(k).judge(logits, y)
    # Ranks are those of probabilities in double precision: float32 cannot tell 1 - e^-20 from 1.
    columns = {
        f"c{j}": (y[seen, j].numpy(), expit(logits[seen, j].double().numpy())) for j, seen in enumerate(~y.T.isnan())
    }
    precision = {name: average_precision_score(*pair) for name, pair in columns.items() if pair[0].any()}
    areas = {name: roc_auc_score(*pair) for name, pair in columns.items() if 0 < pair[0].sum() < len(pair[0])}
    f1 = [f1_score(columns[name][0], columns[name][1] > 0.5) for name in precision]
    assert found["n"] == n
    assert found["average_precision_by_class"] == pytest.approx(precision, abs=1e-6)
    for metric, values in (
        ("mean_average_precision", list(precision.values())),
        ("auroc", list(areas.values())),
        ("macro_f1", f1),
    ):
        assert found[metric] == pytest.approx(np.mean(values) if values else math.nan, abs=1e-6, nan_ok=True)
    assert found["undefined"] == [name for name in columns if name not in areas]


def test_the_likelihood_equals_that_of_scikit_learn():
    logits, y = problem(50, 3, 0)
    columns = [log_loss(y[:, j], expit(logits[:, j].double().numpy())) for j in range(3)]
    assert THREE.judge(logits, y)["nll"] == pytest.approx(np.mean(columns), rel=1e-5)


@given(st.integers(2, 60), st.integers(1, 5), seeds, st.data())
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_give_the_same_metrics(n, k, seed, data):
    logits, y = problem(n, k, seed, missing=0.2)
    assert in_batches(task_of(k), logits, y, data) == approximately(task_of(k).judge(logits, y))


def test_classes_without_positive_or_negative_samples_are_named_without_a_warning():
    logits, y = problem(40, 3, 1)
    y[:, 0], y[:, 2] = 0, 1
    found = THREE.judge(logits, y)
    assert found["undefined"] == ["ant", "fly"]
    assert found["auroc"] == pytest.approx(roc_auc_score(y[:, 1], logits[:, 1]), abs=1e-6)
    assert found["average_precision_by_class"].keys() == {"bee", "fly"}
    assert math.isnan(THREE.judge(logits, torch.zeros(40, 3))["mean_average_precision"])
    assert math.isnan(THREE.score(logits, torch.full((40, 3), math.nan)))


@given(st.integers(1, 40), seeds)
@settings(max_examples=40, deadline=None)
def test_outputs_for_hidden_labels_change_nothing(n, seed):
    logits, y = problem(n, 3, seed, missing=0.4)
    spoiled = torch.where(y.isnan(), 50 * torch.randn(n, 3), logits).requires_grad_()
    assert torch.equal(THREE.losses(spoiled, y), THREE.losses(logits, y))
    assert torch.equal(THREE.sample_scores(spoiled, y), THREE.sample_scores(logits, y))
    assert THREE.judge(spoiled.detach(), y) == approximately(THREE.judge(logits, y))
    assert THREE.score(spoiled.detach(), y) == pytest.approx(THREE.score(logits, y), nan_ok=True)
    THREE.loss(spoiled, y).backward()
    assert not spoiled.grad[y.isnan()].any()


@given(st.integers(2, 7), seeds)
@settings(max_examples=60, deadline=None)
def test_the_score_of_a_sample_is_its_average_precision(k, seed):
    logits, y = problem(5, k, seed, missing=0.2)
    for row, labels, score in zip(logits, y, task_of(k).sample_scores(logits, y), strict=True):
        seen = ~labels.isnan()
        wanted = average_precision_score(labels[seen], row[seen]) if bool(labels.nansum() > 0) else 1.0
        assert score.item() == pytest.approx(wanted)


def test_losses_are_means_over_the_labels_that_are_there():
    logits = torch.tensor([[1.0, -2.0, 3.0]])
    y = torch.tensor([[1.0, math.nan, 0.0]])
    wanted = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert THREE.losses(logits, y).item() == pytest.approx(wanted)
    assert THREE.losses(logits, torch.full((1, 3), math.nan)).item() == 0


def test_labels_have_a_column_for_each_class():
    assert THREE.to_labels(torch.ones(2, 3, dtype=torch.long)).dtype == torch.float32
    with pytest.raises(ValueError, match=r"labels of several classes are \(n, 3\), not \(4,\)"):
        THREE.to_labels(torch.zeros(4))
    assert (THREE.outputs, THREE.leading, THREE.units(torch.zeros(2, 3))) == (3, "mean_average_precision", None)


def test_strata_are_the_rarest_classes_of_samples():
    y = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0], [1, math.nan, 0]]).float()
    assert THREE.strata(y).tolist() == [1, 0, 2, 1, 3, 0]


def test_a_budget_is_a_number_of_samples():
    order = torch.tensor([2, 0, 1])
    assert THREE.within(torch.zeros(3, 3), 2, order, False, "zoo").tolist() == [True, False, True]
