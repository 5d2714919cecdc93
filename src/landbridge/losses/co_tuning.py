"""Co-Tuning: the relationship between the classes of a source model and the target classes."""

import torch
from torch import Tensor


def class_relationship(probabilities: Tensor, y: Tensor, classes: int) -> Tensor:
    r"""Estimate $p(y_s \mid y_t)$ as the mean prediction of a target class (You et al., "Co-Tuning", NeurIPS 2020).

    This is the paper's direct estimate. The paper has a second estimate, which inverts a calibrated
    $p(y_t \mid y_s)$. The second estimate is not implemented.

    Args:
        probabilities: probabilities of the source classes for target samples (n, s).
        y: target classes (n,).
        classes: number of target classes.

    Returns:
        (classes, s). Each row is a distribution; the row of a class without samples is uniform.
    """
    members = (y.unsqueeze(1) == torch.arange(classes, device=y.device)).to(probabilities.dtype)
    counts = members.sum(dim=0).unsqueeze(1)
    means = members.T @ probabilities / counts.clamp(min=1)
    return torch.where(counts > 0, means, torch.full_like(means, 1 / probabilities.shape[1]))
