"""Bi-Tuning: contrastive loss between a sample's own class and all other classes."""

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


def bi_tuning(own: Tensor, queue: Tensor, y: Tensor, temperature: float = 0.07) -> Tensor:
    r"""Compute Bi-Tuning's contrastive loss (Zhong et al., 2020, arXiv:2011.06182).

    The loss is the divergence of the similarities from a uniform distribution over the keys of the sample's class.
    The queue has $k$ keys of each class. $K_i$ are the $k$ keys of sample $i$'s class and the sample's own key:
    $$-\frac1n \sum_i \frac1{k + 1} \sum_{j \in K_i} \log \frac{e^{s_{ij} / T}}{\sum_l e^{s_{il} / T}} - \log (k + 1)$$

    Args:
        own: similarity of each sample to its own key (n,).
        queue: similarity of each sample to the queued keys (n, classes, k).
        y: classes (n,).
        temperature: $T$, > 0.

    Returns:
        A scalar >= 0.
    """
    n, classes, k = queue.shape
    shares = log_softmax(torch.cat([own.unsqueeze(1), queue.reshape(n, classes * k)], dim=1) / temperature, dim=1)
    of_class = (y.unsqueeze(1) == torch.arange(classes, device=y.device)).to(shares.dtype)
    chosen = shares[:, 0] + (of_class * shares[:, 1:].reshape(n, classes, k).sum(dim=2)).sum(dim=1)
    return -chosen.mean() / (k + 1) - math.log(k + 1)
