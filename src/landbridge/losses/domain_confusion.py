"""Domain confusion: the domain discriminator's loss, and the inputs and weights of its conditional variants."""

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
    r"""Compute the binary cross-entropy of a domain discriminator (source 1, target 0); each domain has weight 1/2.

    DANN (Ganin et al., 2016), arXiv:1505.07818, and CDAN+E (Long et al., 2018), arXiv:1705.10667:

    $$\frac12 \left[ \sum_i \frac{w^s_i}{\sum_j w^s_j} \bigl(-\log D(x^s_i)\bigr)
    + \sum_i \frac{w^t_i}{\sum_j w^t_j} \bigl(-\log(1 - D(x^t_i))\bigr) \right]$$

    Weights are normalised per domain, as in the CDAN authors' code; TLLib normalises both domains together. In the
    authors' code, a (reversed) gradient flows through the weights. Here a gradient flows through the weights only if
    the caller does not detach them. `entropy_weights` returns detached weights.

    Args:
        source_logits: discriminator logits of the source batch, (n,) or (n, 1).
        target_logits: discriminator logits of the target batch, (m,) or (m, 1).
        source_weights: non-negative, (n,); None means equal weights.
        target_weights: non-negative, (m,); None means equal weights.

    Returns:
        A scalar >= 0; log 2 if the discriminator always predicts probability 1/2.
    """
    source = _weighted_mean(softplus(-source_logits.flatten()), source_weights)
    target = _weighted_mean(softplus(target_logits.flatten()), target_weights)
    return (source + target) / 2


def _weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def entropy_weights(probabilities: Tensor) -> Tensor:
    r"""Compute the weights of CDAN+E, larger for confident predictions (Long et al., 2018), arXiv:1705.10667.

    $$w_i = 1 + e^{-H(p_i)}$$

    Args:
        probabilities: class probabilities, (n, K).

    Returns:
        Weights before normalisation, (n,), in [1 + 1/K, 2], detached.
    """
    entropy = torch.special.entr(probabilities.detach()).sum(dim=1)
    return 1 + torch.exp(-entropy)


def multilinear_map(features: Tensor, probabilities: Tensor) -> Tensor:
    r"""Compute the outer product of features and predictions (Long et al., "CDAN", 2018), arXiv:1705.10667.

    $$T_\otimes(f, p) = \operatorname{vec}(f \otimes p)$$

    Args:
        features: (n, d).
        probabilities: class probabilities, (n, K). They are detached here: the head gets no gradient through the map.

    Returns:
        (n, d K), where entry $jK + k$ is $f_j p_k$.
    """
    return (features[:, :, None] * probabilities.detach()[:, None, :]).flatten(start_dim=1)


def randomised_multilinear_map(features: Tensor, probabilities: Tensor, r_f: Tensor, r_p: Tensor) -> Tensor:
    r"""Compute a random projection of the multilinear map, for large d K (Long et al., 2018), arXiv:1705.10667.

    $$T_\odot(f, p) = \frac{1}{\sqrt{r}} (R_f f) \odot (R_p p)$$

    If the entries of both matrices have mean 0 and variance 1, inner products equal those of the multilinear map in
    expectation. The caller draws the matrices and must register them as buffers of a module. Otherwise a model loaded
    from a checkpoint would use different matrices.

    Args:
        features: (n, d).
        probabilities: class probabilities, (n, K); detached here.
        r_f: fixed random matrix, (d, r).
        r_p: fixed random matrix, (K, r).

    Returns:
        (n, r).
    """
    return (features @ r_f) * (probabilities.detach() @ r_p) / math.sqrt(r_f.shape[1])
