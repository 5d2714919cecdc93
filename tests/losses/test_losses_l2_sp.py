import pytest
import torch

from landbridge.losses import l2_sp


@pytest.fixture
def weights(draw):
    return {name: draw(*shape).requires_grad_() for name, shape in (("conv", (2, 3)), ("bias", (3,)), ("head", (4,)))}


def test_the_penalty_is_0_at_the_start_without_the_head(weights):
    start = {name: weights[name].detach().clone() for name in ("conv", "bias")}
    assert l2_sp(weights, start, alpha=0.1) == 0


def test_the_gradient_points_to_the_start_and_for_the_head_to_zero(weights, draw):
    start = {"conv": draw(2, 3), "bias": draw(3)}
    conv, bias, head = torch.autograd.grad(l2_sp(weights, start, alpha=0.1, beta=0.01), list(weights.values()))
    torch.testing.assert_close(conv, 0.1 * (weights["conv"] - start["conv"]).detach())
    torch.testing.assert_close(bias, 0.1 * (weights["bias"] - start["bias"]).detach())
    torch.testing.assert_close(head, 0.01 * weights["head"].detach())


def test_value(weights, draw):
    start = {"conv": draw(2, 3)}
    rest = weights["bias"].square().sum() + weights["head"].square().sum()
    expected = 0.05 * (weights["conv"] - start["conv"]).square().sum() + 0.005 * rest
    torch.testing.assert_close(l2_sp(weights, start, alpha=0.1, beta=0.01), expected)


def test_invalid_starts_are_refused(weights, draw):
    with pytest.raises(ValueError, match="'stem', which is not among the parameters"):
        l2_sp(weights, {"stem": draw(2)}, alpha=0.1)
    with pytest.raises(ValueError, match=r"'conv' has shape \(2, 3\), but its start has \(3,\)"):
        l2_sp(weights, {"conv": draw(3)}, alpha=0.1)
    with pytest.raises(ValueError, match="no parameters"):
        l2_sp({}, {}, alpha=0.1)
