import pytest
import torch
from torch.nn.functional import normalize

from landbridge.losses import safn


def test_value_is_the_squared_step_for_any_input(given, golden, draw):
    golden(safn(given["A"]), "safn")
    assert safn(9 * draw(5, 3), step=0.5).item() == pytest.approx(0.25)


def test_the_gradient_is_radial_and_increases_the_norm(draw):
    features = draw(5, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(safn(features, step=0.5), features)
    torch.testing.assert_close(gradient, -2 * 0.5 / 5 * normalize(features.detach(), dim=1))
    assert ((features - 0.1 * gradient).norm(dim=1) > features.norm(dim=1)).all()


def test_a_zero_feature_gives_a_finite_gradient():
    features = torch.zeros(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(safn(features), features)
    assert torch.equal(gradient, torch.zeros(2, 3))
