import numpy as np
import pytest
import torch

from landbridge.losses import bsp, bss


def test_golden(given, golden):
    golden(bsp(given["A"], given["B"]), "bsp")
    golden(bss(given["A"]), "bss")


def test_k_selects_the_largest_or_the_smallest_singular_values(draw):
    x, y = draw(6, 4), draw(7, 4)
    sx, sy = (np.linalg.svd(z.numpy(), compute_uv=False) for z in (x, y))
    assert bsp(x, y, k=2).item() == pytest.approx((sx[:2] ** 2).sum() + (sy[:2] ** 2).sum())
    assert bss(x, k=3).item() == pytest.approx((sx[1:] ** 2).sum())


def test_rotating_the_features_changes_nothing(draw):
    x, y, (rotation, _) = draw(6, 4), draw(7, 4), torch.linalg.qr(draw(4, 4))
    torch.testing.assert_close(bsp(x @ rotation, y @ rotation), bsp(x, y))
    torch.testing.assert_close(bss(x @ rotation), bss(x))


def test_shrinkage_is_0_for_a_rank_deficient_batch_and_reads_min_n_d_otherwise(draw):
    low_rank = draw(8, 2) @ draw(2, 4)
    assert bss(low_rank, k=2).item() == pytest.approx(0, abs=1e-20)
    assert bss(draw(3, 9)) > 1e-3


def test_gradients(draw):
    assert torch.autograd.gradcheck(bsp, (draw(5, 3).requires_grad_(), draw(4, 3).requires_grad_()))
    assert torch.autograd.gradcheck(bss, draw(5, 3).requires_grad_())


def test_half_precision_is_computed_in_float32(draw):
    half = draw(6, 4).bfloat16().requires_grad_()
    value = bss(half)
    torch.testing.assert_close(value, bss(half.detach().float()))
    (gradient,) = torch.autograd.grad(value, half)
    assert gradient.dtype == torch.bfloat16
