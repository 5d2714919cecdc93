import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_problem import batches, falls, gradients, loss, loss_of, make, of_term, output, parts

from landbridge.strategies import DANN

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())


def spectrum(strategy, s, t):
    y = torch.zeros(len(s), dtype=torch.long)
    # The discriminator reads six features. Added columns of zeros do not change the penalty.
    s, t = (torch.cat([z, torch.zeros(len(z), 6 - z.shape[1]).to(z)], dim=1) for z in (s, t))
    strategy.double()
    return float(loss_of(strategy, output("source", s, y=y), output("target_unlabelled", t))["+bsp"])


def test_the_largest_singular_values_of_each_domain_are_penalised():
    a, b = (torch.tensor(GOLDEN["inputs"][name], dtype=torch.float64) for name in "AB")
    assert spectrum(of_term("bsp", weight=3.0), a, b) == pytest.approx(3 * GOLDEN["values"]["bsp"], abs=1e-9)
    whole = sum(np.square(z.numpy()).sum() for z in (a, b))
    assert spectrum(of_term("bsp", weight=1.0, k=2), a, b) == pytest.approx(whole)


def test_the_other_losses_are_those_of_dann():
    bsp, dann = of_term("bsp", progress=0.5), make(DANN, progress=0.5)
    assert bsp.state_dict().keys() == dann.state_dict().keys()
    bsp_terms, dann_terms = loss(bsp, batches()), loss(dann, batches())
    assert bsp_terms.keys() - dann_terms.keys() == {"+bsp"}
    for name, value in dann_terms.items():
        assert torch.equal(value, bsp_terms[name])
        theirs, ours = gradients(dann, value), gradients(bsp, bsp_terms[name])
        assert all(torch.equal(theirs[parameter], ours[parameter]) for parameter in theirs.keys() | ours.keys())


def test_the_penalty_is_not_reversed_and_does_not_reach_the_discriminator():
    strategy = of_term("bsp", progress=0.5)
    assert parts(strategy, loss(strategy, batches())["+bsp"]) == {"backbone"}
    assert falls(strategy, batches(), "+bsp")
