"""Classifier discrepancy: how much the predictions of two heads differ on the same inputs (MCD)."""

from torch import Tensor
from torch.nn.functional import softmax


def classifier_discrepancy(logits_1: Tensor, logits_2: Tensor) -> Tensor:
    r"""Compute the discrepancy of two classifiers (Saito et al., 2018), arXiv:1712.02560.

    $$\frac{1}{n K} \sum_i \sum_k \bigl|p^1_{ik} - p^2_{ik}\bigr|$$

    Args:
        logits_1: logits of the first head, (n, K).
        logits_2: logits of the second head on the same inputs, (n, K).

    Returns:
        A scalar in [0, 2 / K]; 0 when both heads predict the same probabilities.
    """
    return (softmax(logits_1, dim=1) - softmax(logits_2, dim=1)).abs().mean()
