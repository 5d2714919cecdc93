"""DELTA: feature maps that must not move far from those of the starting network."""

from collections.abc import Sequence

import torch
from torch import Tensor


def delta(maps: Sequence[Tensor], start: Sequence[Tensor], attention: Sequence[Tensor]) -> Tensor:
    r"""Distance of feature maps, weighed by channel (Li et al., "DELTA", 2019, arXiv:1901.09229).

    $$\frac12 \sum_l \frac{d_l}{p_l} \sum_{j=1}^{d_l} a_{lj} \, \frac1n \sum_i |F_{lij} - F^0_{lij}|^2$$

    Args:
        maps: of each layer $l$ (n, p, d): samples, positions, channels.
        start: the same of the starting network.
        attention: of each layer, a share for every channel (d,) that sums to 1.

    Returns:
        A scalar >= 0; 0 without layers.
    """
    terms = [
        now.shape[2] * (share * (now - then).square().mean(dim=1)).sum(dim=1).mean()
        for now, then, share in zip(maps, start, attention, strict=True)
    ]
    return torch.stack(terms).sum() / 2 if terms else torch.zeros(())


def attention_shares(increases: Tensor, temperature: float = 5.0) -> Tensor:
    """Turn what the loss gains when each channel is silenced into shares of attention.

    Standardised, since a loss has no scale of its own, and put through a softmax of this temperature.

    Args:
        increases: (d,).
        temperature: the higher, the more alike the shares.

    Returns:
        (d,), positive, with sum 1; all alike where no channel matters more than another.
    """
    centred = increases - increases.mean()
    deviation = centred.square().mean().sqrt()
    return torch.softmax(centred / deviation.clamp(min=torch.finfo(increases.dtype).tiny) / temperature, dim=0)
