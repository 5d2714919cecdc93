import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import log_softmax
from small_problem import batches, falls, loss, loss_of, of_term, output, parts

from landbridge.errors import LandbridgeError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())


def transport(strategy, source, y, target, logits):
    return loss_of(strategy, output("source", source, y=y), output("target_unlabelled", target, logits))["+deepjdot"]


def test_without_label_cost_it_is_the_wasserstein_distance():
    a, b = (torch.tensor(GOLDEN["inputs"][name], dtype=torch.float64) for name in "AB")
    y = torch.zeros(len(a), dtype=torch.long)
    strategy = of_term("deepjdot", alpha=1.0, label_weight=0.0)
    cost = transport(strategy, a, y, b, torch.zeros(len(b), 3, dtype=torch.float64))
    assert float(cost) == pytest.approx(GOLDEN["values"]["w2_squared"], abs=1e-10)


@pytest.mark.parametrize("plan", ["squared", "cross_entropy"])
def test_samples_are_assigned_at_the_least_joint_cost_without_gradient(plan):
    rng = np.random.default_rng(1)
    s, t, logits, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 4)), 2 * rng.normal(size=(9, 3)), np.arange(9) % 3
    features = 0.3 * ((s[:, None] - t) ** 2).sum(-1)
    log_p = log_softmax(logits, axis=1)
    cost = features - 0.7 * log_p.T[y]
    squared = features + 0.7 * cdist(np.eye(3)[y], np.exp(log_p), "sqeuclidean")
    rows, columns = linear_sum_assignment(squared if plan == "squared" else cost)
    other = linear_sum_assignment(cost if plan == "squared" else squared)[1]
    assert (columns != other).any(), "the two plans must differ, or this tests nothing"

    source, target = (torch.tensor(z, requires_grad=True) for z in (s, t))
    strategy = of_term("deepjdot", alpha=0.3, label_weight=0.7, plan=plan)
    value = transport(strategy, source, torch.tensor(y), target, torch.tensor(logits))
    assert value.item() == pytest.approx(cost[rows, columns].mean())
    gradient = torch.autograd.grad(value, target)[0].numpy()
    np.testing.assert_allclose(gradient[columns], 0.3 * 2 * (t[columns] - s[rows]) / 9, atol=1e-12)


def test_transport_trains_backbone_and_head():
    strategy = of_term("deepjdot")
    assert parts(strategy, loss(strategy, batches())["+deepjdot"]) == {"backbone", "head"}
    assert falls(strategy, batches(), "+deepjdot")
    features_only = of_term("deepjdot", label_weight=0.0)
    assert parts(features_only, loss(features_only, batches())["+deepjdot"]) == {"backbone"}


def test_the_defaults_are_those_of_the_authors_script():
    term = of_term("deepjdot").terms["deepjdot"]
    assert (term.alpha, term.label_weight, term.plan, term.weight) == (1e-3, 1e-4, "squared", 1.0)


def test_a_missing_solver_is_named_before_anything_is_trained(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(LandbridgeError, match="needs the package POT: pip install"):
        of_term("deepjdot")
