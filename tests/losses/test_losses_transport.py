import sys

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from torch.nn.functional import cross_entropy

from landbridge.losses import deepjdot, optimal_plan


def label_free(source, target):
    """Compute DeepJDOT's loss with the feature cost only, which is the squared 2-Wasserstein distance."""
    y, logits = torch.zeros(len(source), dtype=torch.long), torch.zeros(len(target), 2, dtype=source.dtype)
    return deepjdot(source, target, y, logits, alpha=1.0, lambda_=0.0)


def test_golden(given, golden):
    golden(label_free(given["A"], given["B"]), "w2_squared")


def test_the_distance_of_a_shift_is_its_squared_length(draw):
    x, shift = draw(6, 3), draw(3)
    torch.testing.assert_close(label_free(x, x + shift), shift.square().sum())


def test_plan_has_uniform_marginals_and_no_gradient(draw):
    cost = draw(5, 8).square().requires_grad_()
    plan = optimal_plan(cost)
    assert not plan.requires_grad
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(dim=1), torch.full((5,), 1 / 5, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(dim=0), torch.full((8,), 1 / 8, dtype=torch.float64))


def test_unequal_plan_is_optimal(draw):
    cost = draw(3, 4).square()
    rows, columns = np.kron(np.eye(3), np.ones(4)), np.kron(np.ones(3), np.eye(4))
    solved = linprog(cost.flatten().numpy(), A_eq=np.vstack([rows, columns]), b_eq=[1 / 3] * 3 + [1 / 4] * 4)
    assert (optimal_plan(cost) * cost).sum().item() == pytest.approx(solved.fun, abs=1e-10)


@pytest.mark.parametrize("plan", ["squared", "cross_entropy"])
def test_loss_is_the_cost_of_the_best_assignment(draw, plan):
    source, target, y, logits = draw(9, 3), draw(9, 3), torch.arange(9) % 3, 3 * draw(9, 3)
    label_cost = torch.stack([cross_entropy(logits, label.expand(9), reduction="none") for label in y])
    features = 0.1 * cdist(source, target, "sqeuclidean")
    cost = features + 2 * label_cost.numpy()
    squared = features + 2 * cdist(np.eye(3)[y], logits.softmax(1), "sqeuclidean")
    expected = cost[linear_sum_assignment(squared if plan == "squared" else cost)].mean()
    value = deepjdot(source, target, y, logits, alpha=0.1, lambda_=2.0, plan=plan)
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_the_gradient_flows_only_through_the_cost(draw):
    y = torch.tensor([0, 1, 2, 0])
    inputs = draw(4, 3).requires_grad_(), draw(5, 3).requires_grad_(), draw(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t, g: deepjdot(s, t, y, g, alpha=0.5, lambda_=1.0), inputs)


def test_float32_inputs_give_a_float32_result(draw):
    value = label_free(draw(4, 3).float(), draw(4, 3).float())
    assert value.dtype == torch.float32


def test_missing_pot_is_refused_with_an_install_command(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ValueError, match="pip install pot"):
        optimal_plan(draw(2, 2))
