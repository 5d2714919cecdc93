"""Feature norms: stepwise enlargement (SAFN)."""

import torch
from torch import Tensor


def safn(features: Tensor, step: float = 1.0) -> Tensor:
    r"""Compute the loss of stepwise adaptive feature norms (Xu et al., 2019), arXiv:1811.07456.

    $$\frac1n \sum_i \bigl(|f_i| - (\operatorname{sg}|f_i| + \Delta)\bigr)^2$$

    The value is always $\Delta^2$. Only the gradient carries information: it increases the norm of every feature.
    This function computes the loss of one domain; the method adds the losses of both domains.

    Args:
        features: (n, d).
        step: $\Delta$, the intended increase of each norm.

    Returns:
        A scalar, $\Delta^2$.
    """
    lengths = torch.linalg.vector_norm(features, dim=1)
    return (lengths - (lengths.detach() + step)).square().mean()
