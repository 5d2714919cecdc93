"""Losses of unlabelled predictions: the confidence, diversity and class confusion of a batch of logits."""

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softmax


def entropy(logits: Tensor) -> Tensor:
    r"""Compute the mean entropy of the predictions; it is small when each prediction is confident.

    $$\frac1n \sum_i H(p_i), \qquad H(p) = -\sum_k p_k \log p_k$$

    Entropy minimisation (Grandvalet & Bengio, NIPS 2004). SHOT's code adds 1e-5 inside the logarithm. No constant is
    added here, because the log-probabilities are finite.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [0, log K].
    """
    return _row_entropy(logits).mean()


def diversity(logits: Tensor) -> Tensor:
    r"""Compute the entropy of the mean prediction; it is large when all classes occur.

    $$H\Bigl(\frac1n \sum_i p_i\Bigr)$$

    SHOT (Liang et al., 2020), arXiv:2002.08546, minimises the negative.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [0, log K].
    """
    log_mean = torch.logsumexp(log_softmax(logits, dim=1), dim=0) - math.log(len(logits))
    return -(log_mean.exp() * log_mean).sum()


def information_maximisation(logits: Tensor) -> Tensor:
    r"""Compute the mutual information of input and prediction: **higher is better**, so a loss subtracts it.

    $$H\Bigl(\frac1n \sum_i p_i\Bigr) - \frac1n \sum_i H(p_i)$$

    SHOT (Liang et al., 2020), arXiv:2002.08546, minimises the negative. The value is higher for classes of equal size.

    Args:
        logits: (n, K).

    Returns:
        A scalar in [0, log K]; log K for confident and balanced predictions, 0 when all predictions are equal.
    """
    return diversity(logits) - entropy(logits)


def mcc(logits: Tensor, temperature: float = 2.5) -> Tensor:
    r"""Compute the minimum class confusion loss (Jin et al., 2020), arXiv:1912.03699.

    $$P = \operatorname{softmax}(g / T), \quad
    w_i = \frac{n (1 + e^{-H(p_i)})}{\sum_j (1 + e^{-H(p_j)})}, \quad
    C = P^\top \operatorname{diag}(w) P, \quad
    L = \frac1K \sum_{k \ne l} \frac{C_{kl}}{\sum_{l'} C_{kl'}}$$

    The weights are detached. A class whose probability is 0 for all samples contributes 0, not 0 / 0. The batch size
    must be much larger than K.

    Args:
        logits: (n, K).
        temperature: $T$.

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
    r"""Compute the loss of batch nuclear-norm maximisation (Cui et al., 2020), arXiv:2003.12237.

    $$-\frac1{\min(n, K)} \, |P|_* = -\frac1{\min(n, K)} \sum_i \sigma_i(P), \qquad P = \operatorname{softmax}(g)$$

    This is the negative mean singular value, as in the authors' code (cuishuhao/BNM, `DA/BNM/train_image.py`). The
    paper divides the nuclear norm by n, so its loss is smaller by the factor K / n. The batch needs at least K rows.
    Logits in half precision are converted to float32, because the singular value decomposition is not available in
    half precision.

    Args:
        logits: (n, K).

    Returns:
        A scalar in $[-\sqrt{n / \min(n, K)}, 0)$. With n >= K and one-hot predictions: $-\sqrt{n / K}$ if balanced,
        $-\sqrt n / K$ if all are equal.
    """
    probabilities = softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return -torch.linalg.svdvals(probabilities).mean()


def _row_entropy(logits: Tensor) -> Tensor:
    log_p = log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)
