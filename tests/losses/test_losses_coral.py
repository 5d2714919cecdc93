import numpy as np
import pytest
import torch

from landbridge.losses import coral, coral_with_mean


def test_golden(given, golden):
    golden(coral(given["A"], given["B"]), "coral")
    golden(coral_with_mean(given["A"], given["B"]), "coral_with_mean_term")


def test_known_covariances(draw):
    scale, variances = torch.tensor([2.0, 3.0, 0.5], dtype=torch.float64), torch.tensor([1.0, 4.0, 9.0]).double()
    raw = draw(50, 3)
    white = (raw - raw.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(raw.T)).T)
    x = white * variances.sqrt()
    expected = ((variances - variances * scale**2) ** 2).sum() / (4 * 9)
    torch.testing.assert_close(coral(x, x * scale), expected)


def test_unequal_batches_against_numpy(draw):
    x, y = draw(9, 4), draw(6, 4)
    difference = np.cov(x, rowvar=False) - np.cov(y, rowvar=False)
    assert coral(x, y).item() == pytest.approx((difference**2).sum() / 64, abs=1e-12)


def test_a_shift_changes_only_the_variant_with_means(draw):
    x, y, shift = draw(9, 4), draw(6, 4), draw(4)
    torch.testing.assert_close(coral(x + shift, y), coral(x, y))
    torch.testing.assert_close(coral_with_mean(x + shift, x), shift.square().mean())


def test_the_same_rotation_of_both_samples_changes_nothing(draw):
    x, y, (rotation, _) = draw(9, 4), draw(6, 4), torch.linalg.qr(draw(4, 4))
    torch.testing.assert_close(coral(x @ rotation, y @ rotation), coral(x, y))
    torch.testing.assert_close(coral_with_mean(x @ rotation, y @ rotation), coral_with_mean(x, y))


def test_gradients(draw):
    samples = draw(5, 3).requires_grad_(), draw(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(coral, samples)
    assert torch.autograd.gradcheck(coral_with_mean, samples)


def test_one_row_is_refused(draw):
    with pytest.raises(ValueError, match="at least two rows, got 1"):
        coral(draw(5, 3), draw(1, 3))
