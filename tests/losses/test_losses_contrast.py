import math

import pytest
import torch

from landbridge.losses import bi_tuning


def test_the_value_equals_a_value_computed_by_hand(draw):
    own, queue, y, temperature = draw(4), draw(4, 3, 2), torch.tensor([0, 2, 1, 2]), 0.3
    expected = 0.0
    for i in range(4):
        every = [own[i].item(), *queue[i].flatten().tolist()]
        total = sum(math.exp(s / temperature) for s in every)
        of_class = [own[i].item(), *queue[i, y[i]].tolist()]
        # The divergence of the softmax from a uniform distribution over the keys of the class.
        expected += sum(1 / 3 * math.log(1 / 3 / (math.exp(s / temperature) / total)) for s in of_class) / 4
    assert bi_tuning(own, queue, y, temperature).item() == pytest.approx(expected)


def test_the_loss_is_0_if_only_the_keys_of_the_own_class_are_similar():
    y = torch.tensor([0, 1])
    queue = torch.full((2, 3, 4), -1.0)
    queue[torch.arange(2), y] = 1.0
    assert bi_tuning(torch.ones(2), queue, y, 0.05).item() == pytest.approx(0, abs=1e-6)
    assert bi_tuning(-torch.ones(2), queue, y, 0.05) > 1


def test_gradient_descent_decreases_the_similarity_to_other_classes(draw):
    own, queue, y = draw(5).requires_grad_(), draw(5, 3, 2).requires_grad_(), torch.tensor([0, 1, 2, 0, 1])
    _, gradient = torch.autograd.grad(bi_tuning(own, queue, y, 1.0), (own, queue))
    others = torch.ones(5, 3, dtype=torch.bool)
    others[torch.arange(5), y] = False
    assert (gradient[others] > 0).all()
    assert torch.autograd.gradcheck(lambda a, b: bi_tuning(a, b, y, 1.0), (own, queue))
