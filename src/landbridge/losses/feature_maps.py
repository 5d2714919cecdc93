"""DELTA: a penalty on the distance between feature maps and those of the starting network."""

from collections.abc import Sequence

import torch
from torch import Tensor


def delta(maps: Sequence[Tensor], start: Sequence[Tensor], attention: Sequence[Tensor]) -> Tensor:
    r"""Compute the distance of feature maps, weighted by channel (Li et al., "DELTA", 2019, arXiv:1901.09229).

    $$\frac12 \sum_l \frac{d_l}{p_l} \sum_{j=1}^{d_l} a_{lj} \, \frac1n \sum_i |F_{lij} - F^0_{lij}|^2$$

    Args:
        maps: feature maps of each layer $l$ (n, p, d): samples, positions, channels.
        start: feature maps of the starting network, in the same shapes.
        attention: for each layer, the shares of its channels (d,); the shares sum to 1.

    Returns:
        A scalar >= 0; 0 if there are no layers.
    """
    terms = [
        now.shape[2] * (share * (now - then).square().mean(dim=1)).sum(dim=1).mean()
        for now, then, share in zip(maps, start, attention, strict=True)
    ]
    return torch.stack(terms).sum() / 2 if terms else torch.zeros(())


def attention_shares(increases: Tensor, temperature: float = 5.0) -> Tensor:
    """Compute each channel's share of the attention from the increase of the loss without this channel.

    The increases are standardised, because the scale of a loss is arbitrary. A softmax with the given temperature
    turns them into shares.

    Args:
        increases: increase of the loss when one channel is set to 0, for each channel (d,).
        temperature: temperature of the softmax; a higher one makes the shares more equal.

    Returns:
        (d,), positive, with sum 1; all equal if all increases are equal.
    """
    centred = increases - increases.mean()
    deviation = centred.square().mean().sqrt()
    return torch.softmax(centred / deviation.clamp(min=torch.finfo(increases.dtype).tiny) / temperature, dim=0)
