"""Penalties on the singular values of a batch of features: the largest (BSP) and the smallest (BSS)."""

import torch
from torch import Tensor


def bsp(source: Tensor, target: Tensor, k: int = 1) -> Tensor:
    r"""Compute batch spectral penalisation (Chen et al., "Transferability vs. Discriminability", ICML 2019).

    $$\sum_{i=1}^k \bigl(\sigma_i(F_s)^2 + \sigma_i(F_t)^2\bigr)$$

    The $\sigma_i$ are in descending order and are computed separately for each domain. Use this penalty together
    with an adversarial loss. The authors' weight is 1e-4.

    Args:
        source: (n, d).
        target: (m, d).
        k: number of singular values of each domain.

    Returns:
        A scalar >= 0; it does not change when the features are rotated.
    """
    return _singular_values(source)[:k].square().sum() + _singular_values(target)[:k].square().sum()


def bss(features: Tensor, k: int = 1) -> Tensor:
    r"""Compute batch spectral shrinkage (Chen et al., "Catastrophic Forgetting Meets Negative Transfer", NeurIPS 2019).

    $$\sum_{i=1}^k \sigma_{-i}(F)^2$$

    The $\sigma_{-i}$ are the smallest of the min(n, d) singular values. With n < d, the directions that are
    orthogonal to all samples have no singular value here.

    Args:
        features: (n, d).
        k: number of singular values.

    Returns:
        A scalar >= 0; 0 if the rank of the batch is at most min(n, d) - k.
    """
    return _singular_values(features)[-k:].square().sum()


def _singular_values(features: Tensor) -> Tensor:
    # The singular value decomposition is not available in half precision.
    return torch.linalg.svdvals(features.to(torch.promote_types(features.dtype, torch.float32)))
