"""Domain confusion: the loss of a domain discriminator, and what conditional adversaries feed and weight it with."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus


def domain_loss(
    source_logits: Tensor,
    target_logits: Tensor,
    source_weights: Tensor | None = None,
    target_weights: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of a domain discriminator (source 1, target 0), each domain counting one half.

    DANN (Ganin et al., 2016), arXiv:1505.07818, and CDAN+E (Long et al., 2018), arXiv:1705.10667:

    $$\frac12 \left[ \sum_i \frac{w^s_i}{\sum_j w^s_j} \bigl(-\log D(x^s_i)\bigr)
    + \sum_i \frac{w^t_i}{\sum_j w^t_j} \bigl(-\log(1 - D(x^t_i))\bigr) \right]$$

    Weights are normalised per domain, as in the CDAN authors' code; TLLib normalises both domains together. The
    authors leave the weights' gradient on (reversed); here a gradient flows through weights only if the caller
    leaves one on them, and `entropy_weights` does not.

    Args:
        source_logits: discriminator logits of the source batch, (n,) or (n, 1).
        target_logits: those of the target batch, (m,) or (m, 1).
        source_weights: non-negative, (n,); None weights all alike.
        target_weights: non-negative, (m,); None weights all alike.

    Returns:
        A scalar >= 0; log 2 for a discriminator that always says one half.
    """
    source = _weighted_mean(softplus(-source_logits.flatten()), source_weights)
    target = _weighted_mean(softplus(target_logits.flatten()), target_weights)
    return (source + target) / 2


def _weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def entropy_weights(probabilities: Tensor) -> Tensor:
    r"""CDAN+E weights: confident predictions count more (Long et al., 2018), arXiv:1705.10667.

    $$w_i = 1 + e^{-H(p_i)}$$

    Args:
        probabilities: class probabilities, (n, K).

    Returns:
        Weights before any normalisation, (n,), in [1 + 1/K, 2], detached.
    """
    entropy = torch.special.entr(probabilities.detach()).sum(dim=1)
    return 1 + torch.exp(-entropy)


def multilinear_map(features: Tensor, probabilities: Tensor) -> Tensor:
    r"""Outer product of features and predictions, CDAN's input (Long et al., 2018), arXiv:1705.10667.

    $$T_\otimes(f, p) = \operatorname{vec}(f \otimes p)$$

    Args:
        features: (n, d).
        probabilities: class probabilities, (n, K); detached here, so that the head gets no gradient through the map.

    Returns:
        (n, d K), where entry $jK + k$ is $f_j p_k$.
    """
    return (features[:, :, None] * probabilities.detach()[:, None, :]).flatten(start_dim=1)


def randomised_multilinear_map(features: Tensor, probabilities: Tensor, r_f: Tensor, r_p: Tensor) -> Tensor:
    r"""Random sketch of the multilinear map, for large d K (Long et al., 2018), arXiv:1705.10667.

    $$T_\odot(f, p) = \frac{1}{\sqrt{r}} (R_f f) \odot (R_p p)$$

    With entries of mean 0 and variance 1, inner products equal those of the multilinear map in expectation. The
    matrices are the caller's: they must be buffers of a module, or a reloaded model draws other ones.

    Args:
        features: (n, d).
        probabilities: class probabilities, (n, K); detached here.
        r_f: fixed random matrix, (d, r).
        r_p: fixed random matrix, (K, r).

    Returns:
        (n, r).
    """
    return (features @ r_f) * (probabilities.detach() @ r_p) / math.sqrt(r_f.shape[1])
