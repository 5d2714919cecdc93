"""AdaMatch: pseudo-labels aligned with the source's classes, and a threshold computed from source predictions."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax


def aligned_distribution(target: Tensor, source: Tensor, mean: Tensor | None = None) -> Tensor:
    r"""Align pseudo-labels with the source's class frequencies (Berthelot et al., 2022), arXiv:2106.04732.

    $$\tilde p_j \propto p^t_j \cdot \frac{\frac1n \sum_i p^s_i}{\frac1m \sum_i p^t_i}$$

    If both mean predictions are equal, the pseudo-labels do not change.

    Args:
        target: class probabilities, (m, K).
        source: class probabilities, (n, K).
        mean: the mean target prediction (K,), if it is known from more samples; None takes that of `target`.

    Returns:
        Class probabilities, (m, K).
    """
    mean = target.mean(dim=0) if mean is None else mean
    ratio = source.mean(dim=0) / mean.clamp(min=torch.finfo(target.dtype).tiny)
    scaled = target * ratio
    return scaled / scaled.sum(dim=1, keepdim=True)


def relative_threshold(source: Tensor, tau: float) -> Tensor:
    r"""Return a threshold relative to the source's mean confidence (Berthelot et al., 2022), arXiv:2106.04732.

    $$c = \tau \cdot \frac1n \sum_i \max_k p^s_{ik}$$

    Args:
        source: class probabilities, (n, K).
        tau: factor of the mean confidence, in [0, 1].

    Returns:
        A scalar in [0, 1].
    """
    return tau * source.amax(dim=1).mean()


def adamatch(
    source_weak: Tensor,
    target_weak: Tensor,
    target_strong: Tensor,
    tau: float = 0.9,
    hard: bool = True,
    shares: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    r"""Compute AdaMatch's loss on unlabelled target samples (Berthelot et al., 2022), arXiv:2106.04732.

    $$\frac1m \sum_j \mathbb 1[\max_k \tilde p_{jk} \ge c] \; \mathrm{CE}(g^{strong}_j, \arg\max_k \tilde p_{jk})$$

    Here $\tilde p$ are the aligned predictions and $c$ is the relative threshold. No gradient flows through the weak
    views.

    Args:
        source_weak: logits of weakly augmented source samples, (n, K).
        target_weak: logits of weakly augmented target samples, (m, K).
        target_strong: logits of the same target samples, strongly augmented, (m, K).
        tau: factor of the threshold.
        hard: whether a pseudo-label is the most probable class, as in the authors' code. Otherwise it is the whole
            distribution $\tilde p_j$, as in the paper's formula.
        shares: mean predictions (K,) of source and target for the alignment, from more samples than these batches; None
            takes those of the batches.

    Returns:
        A scalar >= 0.
    """
    source, target = (softmax(logits.detach(), dim=1) for logits in (source_weak, target_weak))
    of_source, of_target = shares or (source.mean(dim=0), target.mean(dim=0))
    aligned = aligned_distribution(target, of_source.unsqueeze(0), of_target)
    trusted = aligned.amax(dim=1) >= relative_threshold(source, tau)
    labels = aligned.argmax(dim=1) if hard else aligned
    return (trusted * cross_entropy(target_strong, labels, reduction="none")).mean()
