"""Losses of unlabelled predictions alone: how sure, how varied and how confused a batch of logits is."""

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softmax


def entropy(logits: Tensor) -> Tensor:
    r"""Mean entropy of the predictions, small when each one is sure.

    $$\frac1n \sum_i H(p_i), \qquad H(p) = -\sum_k p_k \log p_k$$

    Entropy minimisation (Grandvalet & Bengio, NIPS 2004). No constant is added inside the logarithm, as SHOT's code
    does (1e-5): log-probabilities are finite.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [0, log K].
    """
    return _row_entropy(logits).mean()


def diversity(logits: Tensor) -> Tensor:
    r"""Entropy of the mean prediction, large when all classes occur.

    $$H\Bigl(\frac1n \sum_i p_i\Bigr)$$

    SHOT (Liang et al., 2020), arXiv:2002.08546, where its negative is minimised.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [0, log K].
    """
    log_mean = torch.logsumexp(log_softmax(logits, dim=1), dim=0) - math.log(len(logits))
    return -(log_mean.exp() * log_mean).sum()


def information_maximisation(logits: Tensor) -> Tensor:
    r"""Mutual information between input and prediction: **higher is better**, so a loss subtracts it.

    $$H\Bigl(\frac1n \sum_i p_i\Bigr) - \frac1n \sum_i H(p_i)$$

    SHOT (Liang et al., 2020), arXiv:2002.08546, minimises the negative. It prefers classes of equal size.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [0, log K]; log K for sure and balanced predictions, 0 when all predictions agree.
    """
    return diversity(logits) - entropy(logits)


def mcc(logits: Tensor, temperature: float = 2.5) -> Tensor:
    r"""Minimum class confusion (Jin et al., 2020), arXiv:1912.03699.

    $$P = \operatorname{softmax}(g / T), \quad
    w_i = \frac{n (1 + e^{-H(p_i)})}{\sum_j (1 + e^{-H(p_j)})}, \quad
    C = P^\top \operatorname{diag}(w) P, \quad
    L = \frac1K \sum_{k \ne l} \frac{C_{kl}}{\sum_{l'} C_{kl'}}$$

    The weights are detached. A class without any probability adds nothing instead of 0 / 0. Needs batches well above
    K in size.

    Args:
        logits: (n, K).
        temperature: T.

    Returns:
        A scalar in [0, 1 - 1/K]; 0 for one-hot predictions, 1 - 1/K for uniform ones.
    """
    scaled = logits / temperature
    probabilities = softmax(scaled, dim=1)
    weights = 1 + torch.exp(-_row_entropy(scaled.detach()))
    weights = len(logits) * weights / weights.sum()
    confusion = probabilities.T @ (weights[:, None] * probabilities)
    confusion = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=torch.finfo(confusion.dtype).tiny)
    return (confusion.sum() - confusion.diagonal().sum()) / logits.shape[1]


def bnm(logits: Tensor) -> Tensor:
    r"""Batch nuclear-norm maximisation (Cui et al., 2020), arXiv:2003.12237.

    $$-\frac1n \, |P|_*, \qquad P = \operatorname{softmax}(g)$$

    The nuclear norm is the sum of the singular values. Needs batches of at least K rows. Half precision is computed
    in float32, which the decomposition needs.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [-1, 0). For one-hot predictions: $-\sqrt{K / n}$ when balanced, $-1 / \sqrt n$ when all the same.
    """
    probabilities = softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return -torch.linalg.svdvals(probabilities).sum() / len(logits)


def _row_entropy(logits: Tensor) -> Tensor:
    log_p = log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)
