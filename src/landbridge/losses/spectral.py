"""Penalties on the singular values of a batch of features: the largest (BSP) and the smallest (BSS)."""

import torch
from torch import Tensor


def bsp(source: Tensor, target: Tensor, k: int = 1) -> Tensor:
    r"""Batch spectral penalisation (Chen et al., "Transferability vs. Discriminability", ICML 2019).

    $$\sum_{i=1}^k \bigl(\sigma_i(F_s)^2 + \sigma_i(F_t)^2\bigr)$$

    Largest singular values first, separately per domain. Used beside an adversary, with a weight near 2e-4.

    Args:
        source: (n, d).
        target: (m, d).
        k: how many singular values of each domain.

    Returns:
        A scalar >= 0; rotating the features changes nothing.
    """
    return _singular_values(source)[:k].square().sum() + _singular_values(target)[:k].square().sum()


def bss(features: Tensor, k: int = 1) -> Tensor:
    r"""Batch spectral shrinkage (Chen et al., "Catastrophic Forgetting Meets Negative Transfer", NeurIPS 2019).

    $$\sum_{i=1}^k \sigma_{-i}(F)^2$$

    The smallest of the min(n, d) singular values; with n < d these are not the smallest directions of the space.

    Args:
        features: (n, d).
        k: how many singular values.

    Returns:
        A scalar >= 0; 0 for a batch that lacks k ranks.
    """
    return _singular_values(features)[-k:].square().sum()


def _singular_values(features: Tensor) -> Tensor:
    # The decomposition does not exist in half precision.
    return torch.linalg.svdvals(features.to(torch.promote_types(features.dtype, torch.float32)))
