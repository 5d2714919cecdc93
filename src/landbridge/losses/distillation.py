"""Knowledge distillation: a penalty on predictions that differ from a teacher's predictions."""

from torch import Tensor
from torch.nn.functional import log_softmax


def distillation(logits: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    r"""Compute the divergence from a teacher's softened predictions (Hinton et al., 2015, arXiv:1503.02531).

    $$\frac1n \sum_i \mathrm{KL}\bigl(\operatorname{softmax}(g^0_i / T) \,\|\, \operatorname{softmax}(g_i / T)\bigr)$$

    The value differs from the cross-entropy of the softened predictions by a constant. A factor $T^2$ would keep the
    size of the gradients similar at all temperatures. This function does not include the factor.

    Args:
        logits: (n, classes).
        teacher: the teacher's logits (n, classes).
        temperature: $T$, > 0.

    Returns:
        A scalar >= 0; value and gradient are 0 when both predictions are equal.
    """
    ours, theirs = (log_softmax(each / temperature, dim=1) for each in (logits, teacher))
    return (theirs.exp() * (theirs - ours)).sum(dim=1).mean()
