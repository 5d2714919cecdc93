"""Margin disparity discrepancy: how differently an adversarial head can classify the two domains."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def mdd_source(main_logits: Tensor, adversary_logits: Tensor) -> Tensor:
    r"""Compute the source term: cross-entropy of the adversarial head against the main head's decisions.

    $$\frac1n \sum_i -\log p'_{\hat y_i}(x_i), \qquad \hat y_i = \arg\max f(x_i)$$

    MDD (Zhang et al., 2019), arXiv:1904.05801. No gradient reaches the main head.

    Args:
        main_logits: logits of the main head on the source, (n, K).
        adversary_logits: logits of the adversarial head on the source, (n, K).

    Returns:
        A scalar >= 0.
    """
    return cross_entropy(adversary_logits, main_logits.argmax(dim=1))


def mdd_target(main_logits: Tensor, adversary_logits: Tensor) -> Tensor:
    r"""Compute the target term: the adversarial head's log-probability of all classes but the main head's decision.

    $$\frac1m \sum_j \log\bigl(1 - p'_{\hat y_j}(x_j)\bigr)
    = \frac1m \sum_j \Bigl[\log \sum_{k \ne \hat y_j} e^{f'_k} - \log \sum_k e^{f'_k}\Bigr]$$

    MDD (Zhang et al., 2019), arXiv:1904.05801. The form on the right is computed. It is finite for all finite logits
    and needs no constant in the logarithm. TLLib computes $\log \min(1 - p + 10^{-6}, 1)$. The gradient of TLLib's
    form vanishes when the adversarial head is confident.

    Args:
        main_logits: logits of the main head on the target, (m, K).
        adversary_logits: logits of the adversarial head on the target, (m, K), K >= 2.

    Returns:
        A scalar <= 0.
    """
    decision = main_logits.argmax(dim=1, keepdim=True)
    others = adversary_logits.scatter(1, decision, -torch.inf)
    return (others.logsumexp(dim=1) - adversary_logits.logsumexp(dim=1)).mean()


def mdd_objective(
    source_main: Tensor,
    source_adversary: Tensor,
    target_main: Tensor,
    target_adversary: Tensor,
    gamma: float = 4.0,
) -> Tensor:
    r"""Compute the objective that the adversarial head maximises and the encoder minimises by gradient reversal.

    $$-\gamma \, \mathcal E_s(f', f) + \mathcal E_t(f', f)$$

    MDD (Zhang et al., 2019), arXiv:1904.05801; $\gamma = e^\rho$ for the margin $\rho$. As a loss for an optimiser,
    use the negative of this objective and put the gradient reversal before the adversarial head.

    Args:
        source_main: logits of the main head on the source, (n, K).
        source_adversary: logits of the adversarial head on the source, (n, K).
        target_main: logits of the main head on the target, (m, K).
        target_adversary: logits of the adversarial head on the target, (m, K).
        gamma: the margin factor.

    Returns:
        A scalar <= 0.
    """
    return -gamma * mdd_source(source_main, source_adversary) + mdd_target(target_main, target_adversary)
