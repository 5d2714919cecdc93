import pytest
import torch
from scipy.special import softmax

from landbridge.losses import classifier_discrepancy


def test_formula(draw):
    one, other = draw(6, 4), draw(6, 4)
    expected = abs(softmax(one.numpy(), axis=1) - softmax(other.numpy(), axis=1)).mean()
    assert classifier_discrepancy(one, other).item() == pytest.approx(expected, abs=1e-14)
    torch.testing.assert_close(classifier_discrepancy(other, one), classifier_discrepancy(one, other))


def test_bounds(draw):
    logits = draw(6, 4)
    assert classifier_discrepancy(logits, logits + 3) == pytest.approx(0, abs=1e-15)
    opposed = torch.tensor([[1000.0, 0, 0, 0]]), torch.tensor([[0, 1000.0, 0, 0]])
    assert classifier_discrepancy(*opposed).item() == pytest.approx(2 / 4)


def test_gradient(draw):
    assert torch.autograd.gradcheck(classifier_discrepancy, (draw(4, 3).requires_grad_(), draw(4, 3).requires_grad_()))
