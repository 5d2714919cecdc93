"""Classifier discrepancy: how far two heads disagree on the same inputs (MCD)."""

from torch import Tensor
from torch.nn.functional import softmax


def classifier_discrepancy(logits_1: Tensor, logits_2: Tensor) -> Tensor:
    r"""Discrepancy of two classifiers (Saito et al., 2018), arXiv:1712.02560.

    $$\frac{1}{n K} \sum_i \sum_k \bigl|p^1_{ik} - p^2_{ik}\bigr|$$

    Args:
        logits_1: of the first head, (n, K).
        logits_2: of the second head on the same inputs, (n, K).

    Returns:
        A scalar in [0, 2 / K]; 0 when the heads agree.
    """
    return (softmax(logits_1, dim=1) - softmax(logits_2, dim=1)).abs().mean()
