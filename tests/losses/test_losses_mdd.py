import math

import pytest
import torch

from landbridge.losses import mdd_objective, mdd_source, mdd_target


def test_golden(given, golden):
    main, adversary = given["mdd_main_logits"], given["mdd_adversary_logits"]
    golden(mdd_source(main, adversary), "mdd_source")
    golden(mdd_target(main, adversary), "mdd_target")
    golden(mdd_objective(main, adversary, main, adversary), "mdd_adversary_objective")


def test_the_value_of_equal_heads_equals_a_value_computed_by_hand():
    source, target = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[math.log(4), 0.0]])
    # The predicted classes have probability 3/4 on the source and 4/5 on the target.
    value = mdd_objective(source, source, target, target, gamma=1.0)
    assert value.item() == pytest.approx(math.log(3 / 4) + math.log(1 / 5))


def test_domains_are_not_swapped(draw):
    source_main, source_adversary, target_main, target_adversary = (draw(5, 3) for _ in range(4))
    value = mdd_objective(source_main, source_adversary, target_main, target_adversary, gamma=2.0)
    expected = -2 * mdd_source(source_main, source_adversary) + mdd_target(target_main, target_adversary)
    torch.testing.assert_close(value, expected)


def test_the_logarithm_is_finite_if_the_adversary_is_confident():
    main = torch.tensor([[1.0, 0.0, 0.0]])
    adversary = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    value = mdd_target(main, adversary)
    (gradient,) = torch.autograd.grad(value, adversary)
    assert value.item() == pytest.approx(math.log(2) - 200)
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 0.5, 0.5]]))


def test_the_main_head_gets_no_gradient(draw):
    main, adversary = draw(4, 3).requires_grad_(), draw(4, 3).requires_grad_()
    value = mdd_objective(main, adversary, main, adversary)
    assert torch.autograd.grad(value, main, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(value, adversary)[0].abs().sum() > 0


def test_gradient(draw):
    main = draw(4, 3)
    inputs = draw(4, 3).requires_grad_(), draw(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: mdd_objective(main, s, main, t), inputs)
