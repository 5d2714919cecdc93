import pytest
import torch
from torch.nn.functional import softmax

from landbridge.losses import distillation


def test_value_and_gradient_are_0_for_equal_predictions(draw):
    logits = draw(5, 3).requires_grad_()
    loss = distillation(logits, logits.detach() + 7)  # adding a constant to all logits does not change the predictions
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.zeros(5, 3, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_it_equals_the_papers_cross_entropy_minus_a_constant(temperature, draw):
    logits, teacher = draw(5, 3), draw(5, 3)
    p, q = (softmax(each / temperature, 1) for each in (logits, teacher))
    expected = (-(q * p.log()).sum(1) + (q * q.log()).sum(1)).mean()
    torch.testing.assert_close(distillation(logits, teacher, temperature), expected)


def test_gradient(draw):
    teacher = draw(4, 3)
    assert torch.autograd.gradcheck(lambda x: distillation(x, teacher), draw(4, 3).requires_grad_())
