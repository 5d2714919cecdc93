"""Knowledge distillation: predictions that must stay like a teacher's."""

from torch import Tensor
from torch.nn.functional import log_softmax


def distillation(logits: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    r"""Divergence from a teacher's softened predictions (Hinton et al., 2015, arXiv:1503.02531).

    $$\frac1n \sum_i \mathrm{KL}\bigl(\operatorname{softmax}(g^0_i / T) \,\|\, \operatorname{softmax}(g_i / T)\bigr)$$

    It differs from the cross-entropy of the softened predictions by a constant. Without the factor $T^2$ that keeps
    gradients as large at every temperature.

    Args:
        logits: (n, classes).
        teacher: the teacher's logits (n, classes).
        temperature: $T$, > 0.

    Returns:
        A scalar >= 0; 0, and without gradient, where both agree.
    """
    ours, theirs = (log_softmax(each / temperature, dim=1) for each in (logits, teacher))
    return (theirs.exp() * (theirs - ours)).sum(dim=1).mean()
