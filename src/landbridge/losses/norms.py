"""Feature norms: step by step enlargement (SAFN)."""

import torch
from torch import Tensor


def safn(features: Tensor, step: float = 1.0) -> Tensor:
    r"""Stepwise adaptive feature norm (Xu et al., 2019), arXiv:1811.07456.

    $$\frac1n \sum_i \bigl(|f_i| - (\operatorname{sg}|f_i| + \Delta)\bigr)^2$$

    The value is always $\Delta^2$; only its gradient, which lengthens every feature, says anything. For one domain;
    the method adds it for both.

    Args:
        features: (n, d).
        step: $\Delta$, how much longer each feature is asked to be.

    Returns:
        A scalar, $\Delta^2$.
    """
    lengths = torch.linalg.vector_norm(features, dim=1)
    return (lengths - (lengths.detach() + step)).square().mean()
