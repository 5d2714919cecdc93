"""Several tasks at once: each has its own columns, its own labels that are there, and its own metrics."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from judging import approximately, in_batches

from landbridge.tasks import Classification, MultiLabel, Regression, Several

SHAPE, PLACE, PARTS = Classification(("bar", "beam", "cross")), Regression(("row",)), MultiLabel(("eye", "tail"))
ALL = Several({"shape": SHAPE, "place": PLACE, "parts": PARTS})
seeds = st.integers(0, 2**31)


def problem(n: int, seed: int, missing: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw outputs (n, 6) and labels (n, 4), some of which are missing."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 3, (n, 1), generator=generator).float()
    row = 100 + 7 * torch.randn(n, 1, generator=generator)
    has = (torch.rand(n, 2, generator=generator) < 0.5).float()
    y = torch.cat([classes, row, has], 1)
    y[torch.rand(n, 4, generator=generator) < missing] = math.nan
    return torch.randn(n, 6, generator=generator), y


def own(name: str, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outputs and labels of one task, for the samples that have its label."""
    if name == "shape":
        seen = ~y[:, 0].isnan()
        return outputs[seen, :3], y[seen, 0].long()
    if name == "place":
        seen = ~y[:, 1].isnan()
        return outputs[seen, 3:4], y[seen, 1:2]
    seen = (~y[:, 2:].isnan()).any(1)
    return outputs[seen, 4:], y[seen, 2:]


@given(st.integers(6, 60), seeds)
@settings(max_examples=40, deadline=None)
def test_each_task_is_judged_alone_on_the_samples_that_have_its_label(n, seed):
    outputs, y = problem(n, seed)
    found = ALL.judge(outputs, y)
    pairs = {name: own(name, outputs, y) for name in ALL.tasks}
    assume(all(len(labels) for _, labels in pairs.values()))
    alone = {name: task.judge(*pairs[name]) for name, task in ALL.tasks.items()}
    assert found["by_task"] == approximately(alone)
    leading = [alone[name][task.leading] for name, task in ALL.tasks.items()]
    defined = [value for value in leading if not math.isnan(value)]
    assert found["mean"] == pytest.approx(sum(defined) / len(defined), rel=1e-5)
    assert found["n"] == n


@given(st.integers(2, 60), seeds, st.data())
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_give_the_same_metrics(n, seed, data):
    outputs, y = problem(n, seed)
    assert in_batches(ALL, outputs, y, data) == approximately(ALL.judge(outputs, y))


@given(st.integers(1, 40), seeds)
@settings(max_examples=40, deadline=None)
def test_outputs_for_hidden_labels_change_nothing(n, seed):
    outputs, y = problem(n, seed, missing=0.5)
    place = y[:, [0, 0, 0, 1, 2, 3]]
    spoiled = torch.where(place.isnan(), 30 * torch.randn(n, 6), outputs).requires_grad_()
    scale = torch.tensor([1.0, 1.0, 1.0, 7.0, 1.0, 1.0])
    assert torch.equal(ALL.losses(spoiled, y, scale), ALL.losses(outputs, y, scale))
    assert torch.equal(ALL.sample_scores(spoiled, y).nan_to_num(9), ALL.sample_scores(outputs, y).nan_to_num(9))
    assert ALL.judge(spoiled.detach(), y) == approximately(ALL.judge(outputs, y))
    assert ALL.score(spoiled.detach(), y) == pytest.approx(ALL.score(outputs, y), nan_ok=True)
    ALL.loss(spoiled, y, scale).backward()
    assert not spoiled.grad[place.isnan()].any()
    assert spoiled.grad.isfinite().all()


def test_losses_and_scores_are_means_over_the_tasks_with_a_label():
    outputs, y = problem(50, 3)
    scale = torch.tensor([1.0, 1.0, 1.0, 7.0, 1.0, 1.0])
    units = {"shape": None, "place": scale[3:4], "parts": None}
    losses, scores = ALL.losses(outputs, y, scale), ALL.sample_scores(outputs, y)
    rows = y[:, 1][~y[:, 1].isnan()]
    unit = {"shape": 1, "parts": 1, "place": rows.double().std(correction=0).item()}
    for i in range(50):
        parts = {name: own(name, outputs[i : i + 1], y[i : i + 1]) for name in ALL.tasks}
        there = [name for name, (_, labels) in parts.items() if len(labels)]
        wanted = [ALL.tasks[name].losses(*parts[name], units[name]).item() for name in there]
        assert losses[i].item() == pytest.approx(sum(wanted) / max(1, len(wanted)), rel=1e-5)
        wanted = [ALL.tasks[name].sample_scores(*parts[name]).item() / unit[name] for name in there]
        mean = sum(wanted) / len(wanted) if wanted else math.nan
        assert scores[i].item() == pytest.approx(mean, nan_ok=True)


def test_a_task_without_any_label_does_not_count_in_the_mean():
    outputs, y = problem(30, 0, missing=0)
    y[:, 1] = math.nan
    found = ALL.judge(outputs, y)
    assert math.isnan(found["by_task"]["place"]["r2"])
    assert found["by_task"]["place"]["n"] == 0
    assert found["by_task"]["place"]["undefined"] == ["row"]
    both = found["by_task"]["shape"]["accuracy"] + found["by_task"]["parts"]["mean_average_precision"]
    assert found["mean"] == pytest.approx(both / 2, rel=1e-6)


def test_only_numbers_have_units():
    _, y = problem(80, 1)
    centre, scale = ALL.units(y)
    wanted = PLACE.units(y[:, 1:2])
    assert centre.tolist() == pytest.approx([0, 0, 0, wanted[0].item(), 0, 0])
    assert scale.tolist() == pytest.approx([1, 1, 1, wanted[1].item(), 1, 1])
    assert ALL.has_units
    assert not Several({"shape": SHAPE, "parts": PARTS}).has_units


def test_names_columns_and_strata():
    assert ALL.names == ("shape.bar", "shape.beam", "shape.cross", "place.row", "parts.eye", "parts.tail")
    assert ALL.to_labels(torch.zeros(2, 4, dtype=torch.float64)).dtype == torch.float32
    with pytest.raises(ValueError, match=r"the labels of several tasks are \(n, 4\), not \(2, 3\)"):
        ALL.to_labels(torch.zeros(2, 3))
    y = torch.full((4, 4), math.nan)
    y[:3, 0] = torch.tensor([2.0, 0.0, 1.0])
    assert ALL.strata(y).tolist() == [3, 1, 2, 0]
    assert ALL.describe()["tasks"]["place"] == PLACE.describe()
    # The last sample has no label at all, so it does not count.
    assert ALL.within(y, 2, torch.tensor([3, 1, 0, 2]), False, "zoo").tolist() == [True, True, False, False]


def test_equal_tasks_are_equal_and_can_be_keys():
    same = Several(dict(ALL.tasks))
    assert same == ALL
    assert hash(same) == hash(ALL)
    assert {same: 1}[ALL] == 1
    # The order of the tasks is that of the columns of labels.
    assert Several(dict(reversed(ALL.tasks.items()))) != ALL
    assert ALL != SHAPE


def test_the_unit_of_a_number_changes_no_score_of_a_sample():
    outputs, y = problem(50, 6)
    unit = torch.tensor([1.0, 1.0, 1.0, 1000.0, 1.0, 1.0])
    torch.testing.assert_close(
        ALL.sample_scores(outputs * unit, y * unit[[0, 3, 4, 5]]).nan_to_num(9),
        ALL.sample_scores(outputs, y).nan_to_num(9),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_labels_of_a_task_do_not_reach_another():
    outputs, y = problem(40, 5)
    before = ALL.judge(outputs, y)["by_task"]
    y[:, 1] += 1000
    after = ALL.judge(outputs, y)["by_task"]
    assert after["shape"] == approximately(before["shape"])
    assert after["parts"] == approximately(before["parts"])
    assert after["place"]["mae"] > before["place"]["mae"] + 800
