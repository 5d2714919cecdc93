"""Scores of a model that need no target labels. For all scores, higher is better. Each score has a known failure."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize, softmax

from landbridge.losses import prediction
from landbridge.selection.features_only import of_features


def entropy(logits: Tensor) -> float:
    r"""Compute the negated mean entropy of the predictions, $-\frac1n \sum_i H(p_i)$.

    The score is highest for a collapsed model that predicts one class with high confidence. Read it together with
    `diversity` or the source accuracy.

    Args:
        logits: target logits, (n, K).

    Returns:
        In [-log K, 0].
    """
    return -prediction.entropy(logits).item()


def diversity(logits: Tensor) -> float:
    r"""Compute the entropy of the mean prediction, $H(\frac1n \sum_i p_i)$.

    The score does not depend on how confident each prediction is.

    Args:
        logits: target logits, (n, K).

    Returns:
        In [0, log K].
    """
    return prediction.diversity(logits).item()


def information_maximisation(logits: Tensor) -> float:
    r"""Compute diversity minus mean entropy, as in pytorch-adapt. The score assumes classes of nearly equal size.

    Args:
        logits: target logits, (n, K).

    Returns:
        In [0, log K].
    """
    return prediction.information_maximisation(logits).item()


def bnm(logits: Tensor) -> float:
    r"""Compute the predictions' nuclear norm over their number, $|P|_* / n$ (Musgrave et al., 2022), arXiv:2208.07360.

    The score prefers models that were trained for a high score, with the losses BNM or MCC.

    Args:
        logits: target logits, (n, K).

    Returns:
        In (0, 1].
    """
    return -prediction.bnm(logits).item() * min(logits.shape) / len(logits)


@torch.no_grad()
def snd(logits: Tensor, temperature: float = 0.05, chunk: int = 1024) -> float:
    r"""Compute the soft neighbourhood density (Saito et al., 2021), arXiv:2108.10860.

    $$\frac1n \sum_i H\Bigl(\operatorname{softmax}_{j \ne i}\bigl(\cos(p_i, p_j) / T\bigr)\Bigr)$$

    A row's similarity to itself is left out. The authors set this similarity to -1/T; both values agree to about
    1e-12. The score is largest for a collapsed model, because all its predictions are neighbours. Never use it
    without `diversity`.

    Args:
        logits: target logits, (n, K), n >= 2.
        temperature: $T$.
        chunk: number of rows that are processed at once; memory is chunk times n.

    Returns:
        In [0, log(n - 1)].

    Raises:
        ValueError: fewer than two rows.
    """
    n = len(logits)
    if n < 2:
        raise ValueError(f"snd: needs at least two rows, got {n}.")
    points = normalize(softmax(logits, dim=1), dim=1)
    total = 0.0
    for rows in torch.arange(n, device=points.device).split(chunk):
        similarity = points[rows] @ points.T / temperature
        others = similarity.scatter(1, rows[:, None], -torch.inf)
        total += torch.special.entr(softmax(others, dim=1)).sum().item()
    return total / n


def dev(weights: Tensor, losses: Tensor) -> float:
    r"""Compute the negated deep embedded validation risk (You et al., ICML 2019), arXiv:2606.04665.

    $$-\Bigl[\overline{w \ell} + \eta \bar w - \eta\Bigr], \qquad
    \eta = -\frac{\operatorname{cov}(w \ell, w)}{\operatorname{var}(w)}$$

    The coefficient $\eta$ of the control variate uses moments divided by n - 1. It is 0 if all weights are equal. The
    score is unstable if the domain classifier behind the weights separates the domains well.

    Args:
        weights: density ratios target / source of held-out source samples, (n,), n >= 2; see `density_ratios`.
        losses: losses of the same samples, (n,).

    Returns:
        The score, unbounded.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(weights) < 2:
        raise ValueError(f"dev: needs at least two held-out source samples, got {len(weights)}.")
    w, loss = (x.detach().to("cpu", torch.float64) for x in (weights, losses))
    covariance = torch.cov(torch.stack([w * loss, w]))
    # A variance below this limit is only the rounding error of equal weights.
    varies = covariance[1, 1] > torch.finfo(weights.dtype).eps ** 2 * w.mean() ** 2
    eta = -covariance[0, 1] / covariance[1, 1] if varies else 0.0
    return -float((w * loss).mean() + eta * w.mean() - eta)


@of_features
@torch.no_grad()
def rankme(features: Tensor) -> float:
    r"""Compute the effective rank of the features (Garrido et al., 2023), arXiv:2210.02885.

    $$\exp H\Bigl(\frac{\sigma}{\sum_i \sigma_i}\Bigr)$$

    The paper adds 1e-7 to each share; here a share of 0 contributes 0. There should be many more rows than
    dimensions, because the rank is at most the number of rows. The singular values are the roots of the eigenvalues of
    $F^\top F$ or $F F^\top$, whichever is smaller, so that many rows cost little. The score reads only features, and it
    can be higher for models with lower accuracy.

    Args:
        features: target features, (n, d).

    Returns:
        In [1, min(n, d)].
    """
    wide = features.T if features.shape[0] > features.shape[1] else features
    wide = wide.double()  # an eigenvalue is the square of a singular value
    gram = wide @ wide.T
    sigma = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    shares = sigma / sigma.sum().clamp(min=torch.finfo(sigma.dtype).tiny)
    return torch.special.entr(shares).sum().exp().item()


def class_ami(features: Tensor, logits: Tensor, seed: int = 0) -> float:
    """Compute the adjusted mutual information of predictions and clusters (Musgrave et al., 2022), arXiv:2208.07360.

    The clusters are found by k-means. Their number is the number of classes, or the number of samples if that is
    smaller. A model that predicts only one class gets 0, the value at chance. It also gets 0 if its features have
    collapsed to one cluster, for which the formula gives 1. The score measures whether predictions agree with the
    clusters. It does not measure whether each cluster has the correct class.

    Args:
        features: target features, (n, d).
        logits: logits of the same samples, (n, K).
        seed: seed of k-means.

    Returns:
        At most 1; near 0 for independent labellings.
    """
    # This import takes half a second; commands that compute no score should not wait for it.
    from sklearn.metrics import adjusted_mutual_info_score

    predictions = logits.argmax(dim=1).cpu().numpy()
    if len(set(predictions.tolist())) == 1:
        return 0.0
    return float(adjusted_mutual_info_score(predictions, _clusters(features, min(logits.shape[1], len(logits)), seed)))


@of_features
def _clusters(features: Tensor, count: int, seed: int) -> NDArray[np.int32]:
    """Return the k-means cluster of each row."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    kmeans = KMeans(n_clusters=count, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():
        # The warning means fewer distinct points than clusters: the model has collapsed, and its score is low anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kmeans.fit_predict(features.detach().float().cpu().numpy())


@torch.no_grad()
def mixval(inputs: Tensor, predict: Callable[[Tensor], Tensor], seed: int = 0, share: float = 0.55) -> float:
    r"""Measure how often predictions for mixed inputs agree with those for the inputs (Hu et al., NeurIPS 2023).

    A mixture is $\lambda x_i + (1 - \lambda) x_j$. Each input $x_i$ is mixed with two random partners $x_j$. The first
    partner has the same predicted class as $x_i$ (intra), the second one has another predicted class (inter). A mixture
    agrees if its predicted class is that of $x_i$. The score is the mean of two shares: the share of intra mixtures
    that agree, and the share of inter mixtures that agree. If there is no intra pair or no inter pair, for example
    because all predictions are equal, the score is 0, the worst value.

    The authors rank several models by each share and average the ranks. The mean of the shares needs only one model.

    Args:
        inputs: target inputs, (n, ...), floating point.
        predict: function that returns logits (m, K) of inputs (m, ...), in eval mode.
        seed: seed of the random partners.
        share: $\lambda$, in (0.5, 1).

    Returns:
        In [0, 1].

    Example:
        The inputs are -1, -1, 1, 1. The model predicts class 1 for inputs above 0.5, and class 0 otherwise. With
        `share` 0.55, all four intra mixtures agree: they are -1, -1, 1, 1. The inter mixtures are -0.1, -0.1, 0.1,
        0.1, and all are predicted as class 0. Two of the four agree. The score is (1 + 0.5) / 2 = 0.75.
    """
    labels = predict(inputs).argmax(dim=1).cpu()
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    size = counts[labels[order]]
    first = (counts.cumsum(0) - counts)[labels[order]]
    position = torch.arange(len(order))
    uniform = torch.rand(2, len(order), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    # `order` sorts the samples by predicted class, so that each class is one block of positions. Intra partners are at
    # other positions of the same block, inter partners at positions outside the block.
    inside = first + (position - first + 1 + (uniform[0] * (size - 1)).long()) % size
    outside = (first + size + (uniform[1] * (len(order) - size)).long()) % len(order)
    has_inside, has_outside = size > 1, size < len(order)
    if not (has_inside.any() and has_outside.any()):
        return 0.0
    intra = _agreement(inputs, predict, labels, order[has_inside], order[inside[has_inside]], share)
    inter = _agreement(inputs, predict, labels, order[has_outside], order[outside[has_outside]], share)
    return (intra + inter) / 2


def _agreement(
    inputs: Tensor,
    predict: Callable[[Tensor], Tensor],
    labels: Tensor,
    dominant: Tensor,
    partner: Tensor,
    share: float,
) -> float:
    i, j = dominant.to(inputs.device), partner.to(inputs.device)
    mixed = torch.lerp(inputs[j], inputs[i], share)
    return (predict(mixed).argmax(dim=1).cpu() == labels[dominant]).double().mean().item()
