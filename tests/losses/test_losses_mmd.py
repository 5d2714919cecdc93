import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from landbridge.losses import joint_mmd2, mmd2, squared_distances

ESTIMATORS = ["biased", "unbiased", "linear"]
ALPHAS = [0.125, 0.25, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_golden(given, golden, estimator):
    golden(mmd2(given["A"], given["B"], estimator=estimator, sigma2=[1.0]), f"mmd2_{estimator}")


def adaptive_kernel(source, target):
    """Compute DAN's kernel matrix of the pooled sample in numpy."""
    pooled = np.concatenate([source, target])
    distances = cdist(pooled, pooled, "sqeuclidean")
    return sum(np.exp(-distances / (2 * alpha * distances.mean())) for alpha in ALPHAS)


def quadratic_mmd2(kernel, n, biased):
    xx, yy, xy = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    if not biased:
        xx, yy = (k[~np.eye(len(k), dtype=bool)] for k in (xx, yy))
    return xx.mean() + yy.mean() - 2 * xy.mean()


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_adaptive_bandwidths_are_multiples_of_the_mean_squared_distance(draw, estimator):
    source, target = draw(7, 3), 2 * draw(4, 3) + 1
    expected = quadratic_mmd2(adaptive_kernel(source, target), 7, estimator == "biased")
    assert mmd2(source, target, estimator=estimator).item() == pytest.approx(expected, abs=1e-12)


def test_linear_estimator_reads_disjoint_pairs_of_the_same_kernel(draw):
    source, target = draw(7, 3), draw(7, 3) + 1
    kernel = adaptive_kernel(source, target)
    pairs = [
        kernel[i, i + 1] + kernel[7 + i, 7 + i + 1] - kernel[i, 7 + i + 1] - kernel[i + 1, 7 + i] for i in (0, 2, 4)
    ]
    assert mmd2(source, target, estimator="linear").item() == pytest.approx(np.mean(pairs), abs=1e-12)


def test_joint_kernel_is_the_product_of_the_layers(draw):
    features, probabilities = (draw(6, 3), draw(5, 3)), (draw(6, 2).softmax(1), draw(5, 2).softmax(1))
    pooled = np.concatenate(probabilities)
    kernel = adaptive_kernel(*features) * np.exp(-cdist(pooled, pooled, "sqeuclidean") / (2 * 0.92**2))
    for estimator in ("biased", "unbiased"):
        value = joint_mmd2([features, probabilities], estimator=estimator, sigma2=(None, (0.92**2,)))
        assert value.item() == pytest.approx(quadratic_mmd2(kernel, 6, estimator == "biased"), abs=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_joint_mmd2_of_one_layer_equals_mmd2(draw, estimator):
    source, target = draw(6, 3), draw(6, 3)
    assert torch.equal(joint_mmd2([(source, target)], estimator=estimator), mmd2(source, target, estimator=estimator))


def test_biased_form_is_0_for_identical_samples_and_positive_otherwise(draw):
    x, p = draw(20, 3), draw(20, 4).softmax(1)
    assert mmd2(x, x).item() == pytest.approx(0, abs=1e-14)
    assert joint_mmd2([(x, x), (p, p)]).item() == pytest.approx(0, abs=1e-14)
    assert mmd2(x, draw(20, 3)) > 0
    # The marginals are equal but the rows are paired differently: only the joint distribution differs.
    assert joint_mmd2([(x, x), (p, p.roll(1, dims=0))]) > 1e-3


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_order_and_shift_change_nothing(draw, estimator):
    source, target = draw(6, 3), draw(8, 3)
    value = mmd2(source, target, estimator=estimator)
    torch.testing.assert_close(mmd2(source[torch.randperm(6)], target[torch.randperm(8)], estimator=estimator), value)
    torch.testing.assert_close(mmd2(source + 100, target + 100, estimator=estimator), value)


@pytest.mark.parametrize("estimator", ["unbiased", "linear"])
def test_estimators_are_unbiased(draw, estimator):
    one = torch.func.vmap(lambda x, y: mmd2(x, y, estimator=estimator, sigma2=[1.0]))
    values = one(draw(2000, 8, 2), draw(2000, 8, 2))
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(2000)
    assert (values < 0).any()


def test_closed_form_for_two_gaussians(draw):
    one = torch.func.vmap(lambda x, y: mmd2(x, y, estimator="unbiased", sigma2=[1.0]))
    for m in (0.5, 2.0):
        values = one(draw(500, 40, 1), draw(500, 40, 1) + m)
        exact = 2 / math.sqrt(3) * (1 - math.exp(-(m**2) / 6))
        assert abs(values.mean() - exact) < 3 * values.std() / math.sqrt(500)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradient_with_fixed_bandwidth(draw, estimator):
    source, target = draw(4, 2).requires_grad_(), draw(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: mmd2(x, y, estimator=estimator, sigma2=[0.5, 2.0]), (source, target))


def test_the_bandwidth_is_detached(draw):
    source, target = draw(5, 2).requires_grad_(), draw(5, 2)
    pooled = torch.cat([source, target]).detach()
    width = torch.cdist(pooled, pooled).square().mean().item()
    (adaptive,) = torch.autograd.grad(mmd2(source, target, bandwidths=[1.0]), source)
    (fixed,) = torch.autograd.grad(mmd2(source, target, sigma2=[width]), source)
    torch.testing.assert_close(adaptive, fixed)


def test_equal_points_give_0_and_not_nan():
    x = torch.ones(4, 3, requires_grad=True)
    value = mmd2(x, torch.ones(4, 3))
    (gradient,) = torch.autograd.grad(value, x)
    assert value == 0
    assert torch.equal(gradient, torch.zeros(4, 3))


def test_distances_far_from_the_origin_are_accurate(draw):
    x, y = draw(5, 3), draw(4, 3)
    torch.testing.assert_close(squared_distances(x, y).numpy(), cdist(x, y, "sqeuclidean"))
    shifted = squared_distances((x + 1000).float(), (y + 1000).float())
    torch.testing.assert_close(shifted.double(), squared_distances(x, y), rtol=0, atol=1e-2)


def test_distances_are_never_negative(draw):
    x = (1000 * draw(100, 3)).float()
    assert (squared_distances(x, x) >= 0).all()


def test_invalid_estimators_and_sizes_are_refused(draw):
    with pytest.raises(ValueError, match="needs equal batches, got 4 and 6"):
        mmd2(draw(4, 2), draw(6, 2), estimator="linear")
    with pytest.raises(ValueError, match="at least two rows per domain, got 1 and 6"):
        mmd2(draw(1, 2), draw(6, 2), estimator="unbiased")
    with pytest.raises(ValueError, match="'quadratic' is unknown"):
        mmd2(draw(4, 2), draw(4, 2), estimator="quadratic")
    with pytest.raises(ValueError, match="zip"):
        joint_mmd2([(draw(4, 2), draw(4, 2))], sigma2=(None, (1.0,)))
