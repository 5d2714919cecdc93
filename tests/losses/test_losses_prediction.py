import math

import numpy as np
import pytest
import torch
from scipy.special import entr, softmax
from torch.nn.functional import one_hot

from landbridge.losses import bnm, diversity, entropy, information_maximisation, mcc

SURE = 1000.0  # a logit so large that the prediction is one-hot


def sure(labels, classes):
    return SURE * one_hot(torch.tensor(labels), classes).double()


@pytest.mark.parametrize("loss", [entropy, diversity, information_maximisation, mcc])
def test_golden(given, golden, loss):
    golden(loss(given["logits"]), loss.__name__)


def test_golden_bnm(given, golden):
    n, classes = given["logits"].shape
    golden(bnm(given["logits"]) * classes / n, "bnm")  # the golden value is that of the paper, which divides by n


def test_bnm_is_the_mean_singular_value_also_with_fewer_rows_than_classes(draw):
    for rows, columns in ((7, 3), (3, 7)):
        logits = draw(rows, columns)
        squares = np.linalg.eigvalsh(logits.softmax(1).numpy() @ logits.softmax(1).numpy().T)
        expected = np.sqrt(squares.clip(min=0))[-min(rows, columns) :].mean()
        assert bnm(logits).item() == pytest.approx(-expected, abs=1e-8)


@pytest.mark.parametrize("loss", [entropy, diversity, information_maximisation, bnm])
def test_gradient(draw, loss):
    assert torch.autograd.gradcheck(loss, draw(5, 3).requires_grad_())


def test_entropy_and_diversity_against_scipy(draw):
    logits = 3 * draw(8, 5)
    p = softmax(logits.numpy(), axis=1)
    assert entropy(logits).item() == pytest.approx(entr(p).sum(1).mean(), abs=1e-12)
    assert diversity(logits).item() == pytest.approx(entr(p.mean(0)).sum(), abs=1e-12)


def test_information_maximisation_spans_0_to_log_k():
    balanced, constant, uniform = sure([0, 1, 2, 0, 1, 2], 3), sure([1] * 6, 3), torch.zeros(6, 3)
    assert information_maximisation(balanced).item() == pytest.approx(math.log(3))
    assert information_maximisation(constant).item() == pytest.approx(0)
    assert information_maximisation(uniform).item() == pytest.approx(0, abs=1e-6)


def test_mcc_bounds():
    assert mcc(sure([0, 1, 2, 0], 3)) == 0
    for k in (2, 5):
        assert mcc(torch.zeros(10, k)).item() == pytest.approx(1 - 1 / k)


def test_mcc_weights_are_detached(draw):
    logits = draw(6, 3).requires_grad_()
    with torch.no_grad():
        p = torch.softmax(logits / 2.5, dim=1)
        weights = 1 + torch.exp(torch.special.xlogy(p, p).sum(1))

    def with_fixed_weights(g):
        q = torch.softmax(g / 2.5, dim=1)
        confusion = torch.einsum("nk,n,nl->kl", q, weights, q)
        return 1 - (confusion.diagonal() / confusion.sum(1)).mean()

    assert torch.autograd.gradcheck(with_fixed_weights, logits)
    (expected,) = torch.autograd.grad(with_fixed_weights(logits), logits)
    (gradient,) = torch.autograd.grad(mcc(logits), logits)
    torch.testing.assert_close(gradient, expected)


def test_bnm_closed_forms():
    balanced, constant, uniform = sure([0, 1, 2] * 4, 3), sure([1] * 12, 3), torch.zeros(12, 3)
    assert bnm(balanced).item() == pytest.approx(-math.sqrt(12 / 3))
    assert bnm(constant).item() == pytest.approx(-math.sqrt(12) / 3)
    assert bnm(uniform).item() == pytest.approx(-math.sqrt(12 / 3) / 3)


def test_bnm_of_half_precision_is_computed_in_float32(draw):
    half = draw(6, 3).bfloat16()
    torch.testing.assert_close(bnm(half), bnm(half.float()))


@pytest.mark.parametrize("loss", [entropy, diversity, information_maximisation, mcc, bnm])
@pytest.mark.parametrize("labels", [[0, 1, 2, 0], [1, 1, 1, 1]])
def test_value_and_gradient_are_finite_for_confident_predictions(loss, labels):
    logits = sure(labels, 3).float().requires_grad_()
    value = loss(logits)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.isfinite()
    assert gradient.isfinite().all()
