import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.data.labels import Labels
from landbridge.errors import LandbridgeError
from landbridge.tasks import HIDDEN, Classification, Regression, shown

TASK = Classification(("ant", "bee", "fly"))
values = st.lists(st.integers(0, 2), min_size=12, max_size=60).map(lambda v: torch.tensor([0, 1, 2] * 4 + v))
seeds = st.integers(0, 2**31)


@given(values, st.integers(0, 4), seeds)
@settings(deadline=None)
def test_a_budget_shows_that_many_true_labels_of_each_class(y, budget, seed):
    shown = Labels(y, TASK, "zoo train").visible(budget, seed)
    visible = shown != HIDDEN
    assert torch.equal(shown[visible], y[visible])
    assert torch.bincount(shown[visible], minlength=3).tolist() == [budget] * 3


@given(values, st.integers(0, 4), seeds, st.data())
@settings(deadline=None)
def test_garbage_in_hidden_labels_does_not_change_the_visible_labels(y, budget, seed, data):
    shown = Labels(y, TASK, "zoo train").visible(budget, seed)
    garbage = st.integers(-9, 99).filter(lambda value: value not in range(3))
    junk = torch.tensor(data.draw(st.lists(garbage, min_size=len(y), max_size=len(y))))
    spoiled = torch.where(shown == HIDDEN, junk, y)
    assert torch.equal(Labels(spoiled, TASK, "zoo train").visible(budget, seed), shown)


@given(values, st.integers(1, 3), seeds)
@settings(deadline=None)
def test_a_larger_budget_shows_the_same_labels_and_more(y, budget, seed):
    labels = Labels(y, TASK, "zoo train")
    few, more = labels.visible(budget, seed), labels.visible(budget + 1, seed)
    assert torch.equal(more[few != HIDDEN], few[few != HIDDEN])


def test_the_seed_selects_the_labelled_samples():
    labels = Labels(torch.arange(300) % 3, TASK, "zoo train")
    assert torch.equal(labels.visible(5, 1), labels.visible(5, 1))
    assert not torch.equal(labels.visible(5, 1), labels.visible(5, 2))


def test_the_budgets_all_and_zero_show_all_and_no_labels():
    y = torch.arange(9) % 3
    labels = Labels(y, TASK, "zoo train")
    assert torch.equal(labels.visible("all", 0), y)
    assert bool((labels.visible(0, 0) == HIDDEN).all())


def test_the_error_of_a_large_budget_names_the_class_and_the_number():
    labels = Labels(torch.tensor([0, 0, 0, 1, 1, 2, 2, 2]), TASK, "zoo train")
    with pytest.raises(LandbridgeError, match=r"target_labels=3: zoo train has only 2 samples of class 'bee'.*most 2 "):
        labels.visible(3, 0)


def test_opening_is_recorded_and_returns_a_copy():
    y = torch.arange(6) % 3
    labels = Labels(y, TASK, "zoo test")
    opened = labels.open("final test")
    opened.fill_(7)
    labels.visible("all", 0).fill_(7)
    assert torch.equal(labels.open("again"), y)
    assert labels.openings == ["final test", "again"]


def test_visible_and_digest_record_no_opening():
    labels = Labels(torch.arange(6) % 3, TASK, "zoo test")
    labels.visible(1, 0)
    labels.digest()
    assert labels.openings == []
    assert len(labels) == 6


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_the_digest_changes_with_any_label_and_not_with_a_copy(y, data):
    y = torch.tensor(y)
    digest = Labels(y, TASK, "zoo").digest()
    assert Labels(y.to(torch.uint8), TASK, "elsewhere").digest() == digest
    assert pickle.loads(pickle.dumps(Labels(y, TASK, "zoo"))).digest() == digest
    where = data.draw(st.integers(0, len(y) - 1))
    changed = y.clone()
    changed[where] = (changed[where] + 1) % 3
    assert Labels(changed, TASK, "zoo").digest() != digest


@given(st.integers(1, 30), st.data(), seeds)
@settings(deadline=None)
def test_a_budget_of_numbers_shows_that_many_samples_whatever_is_hidden(n, data, seed):
    task = Regression(("row", "column"))
    budget = data.draw(st.integers(0, n))
    y = torch.randn(n, 2)
    y[::3, 1] = torch.nan
    visible = Labels(y, task, "zoo train").visible(budget, seed)
    seen = shown(visible)
    assert int(seen.sum()) == budget
    assert torch.equal(visible[seen].nan_to_num(9), y[seen].nan_to_num(9))
    assert visible[~seen].isnan().all()
    spoiled = torch.where(seen.unsqueeze(1), y, 1e6 * torch.randn(n, 2))
    assert torch.equal(Labels(spoiled, task, "zoo train").visible(budget, seed).nan_to_num(9), visible.nan_to_num(9))


def test_a_sample_that_lacks_all_labels_is_never_visible_and_does_not_count():
    y = torch.tensor([[1.0], [torch.nan], [3.0]])
    labels = Labels(y, Regression(("row",)), "zoo train")
    assert shown(labels.visible("all", 0)).tolist() == [True, False, True]
    assert shown(labels.visible(2, 0)).tolist() == [True, False, True]
    with pytest.raises(LandbridgeError, match="target_labels=3: zoo train has only 2 samples with a label"):
        labels.visible(3, 0)
