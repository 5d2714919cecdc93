"""L2-SP: weight decay towards the starting point instead of towards zero."""

from collections.abc import Mapping

import torch
from torch import Tensor


def l2_sp(parameters: Mapping[str, Tensor], start: Mapping[str, Tensor], alpha: float, beta: float = 0.0) -> Tensor:
    r"""Compute the L2-SP penalty (Li et al., 2018), arXiv:1802.01483.

    $$\frac\alpha2 \sum_{n \in \text{start}} |w_n - w^0_n|^2 + \frac\beta2 \sum_{n \notin \text{start}} |w_n|^2$$

    Leave the head and all buffers out of `start`. Switch off the optimiser's weight decay for the parameters.

    Args:
        parameters: the trained parameters by name.
        start: initial values of the pretrained parameters, with the same names and shapes.
        alpha: weight of the distance to the start.
        beta: weight of the squared norm of all other parameters, such as those of a new head.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: `parameters` is empty, lacks a name of `start`, or has a parameter of another shape than in `start`.
    """
    if not parameters:
        raise ValueError("l2_sp: there are no parameters to penalise.")
    for name, origin in start.items():
        if name not in parameters:
            raise ValueError(f"l2_sp: start has {name!r}, which is not among the parameters; leave it out of start.")
        if parameters[name].shape != origin.shape:
            raise ValueError(
                f"l2_sp: {name!r} has shape {tuple(parameters[name].shape)}, but its start has {tuple(origin.shape)}; "
                "both must be equal."
            )
    terms = [
        alpha * (weight - start[name]).square().sum() if name in start else beta * weight.square().sum()
        for name, weight in parameters.items()
    ]
    return torch.stack(terms).sum() / 2
