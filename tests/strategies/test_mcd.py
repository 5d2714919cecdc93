from functools import partial

import pytest
import torch
from moves import moves
from small_problem import batches, loss, make, parts

from landbridge.strategies import MCD

HEADS = {"head", "second_head"}


def test_each_of_the_three_steps_changes_only_its_parameter_groups():
    assert moves(make(MCD, encoder_steps=3), steps=2) == 2 * [{"backbone"} | HEADS, HEADS, *3 * [{"backbone"}]]


def test_a_batch_with_several_steps_counts_once():
    strategy = make(MCD)
    moves(strategy, steps=3)
    assert strategy.batches_seen == 3
    assert strategy.epoch_losses.keys() == {"supervised", "supervised_second", "discrepancy"}


def test_the_discrepancy_is_zero_only_between_equal_heads():
    strategy = make(MCD)
    assert loss(strategy, batches())["discrepancy"] > 0  # they start apart
    strategy.second_head.load_state_dict(strategy.network.head.state_dict())
    assert loss(strategy, batches())["discrepancy"] == 0


def test_the_heads_increase_the_discrepancy_and_the_encoder_reduces_it():
    strategy = make(MCD, encoder_steps=2)
    strategy.make_optimizer = partial(torch.optim.SGD, lr=1e-2)
    step_optimizers, seen = strategy.step_optimizers, []

    def watched(groups, value):
        terms = loss(strategy, batches(seed=0))
        fit = terms["supervised"] + terms["supervised_second"]
        seen.append((value.item(), fit.item(), terms["discrepancy"].item()))
        step_optimizers(groups, value)

    strategy.step_optimizers = watched
    moves(strategy)
    expected = [fit - sign * apart for (_, fit, apart), sign in zip(seen[:2], (0, 1), strict=True)]
    assert [value for value, *_ in seen] == pytest.approx([*expected, *(apart for *_, apart in seen[2:])], rel=1e-5)
    assert seen[3][2] < seen[2][2]


def test_labels_reach_both_heads():
    strategy = make(MCD)
    terms = loss(strategy, batches(labels=6))
    assert parts(strategy, terms["supervised"]) == {"backbone", "head"}
    assert parts(strategy, terms["supervised_second"]) == {"backbone", "second_head"}
    without = loss(strategy, batches())
    assert terms["supervised"] > without["supervised"]
    assert terms["supervised_second"] > without["supervised_second"]


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_the_losses_do_not_depend_on_progress(progress):
    first, second = (loss(make(MCD, progress=p), batches()) for p in (0.0, progress))
    assert all(torch.equal(first[name], second[name]) for name in first)
