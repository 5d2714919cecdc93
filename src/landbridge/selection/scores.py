"""Scores of a model that need no target label. Higher is better for all of them; each has its own way to fail."""

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
    r"""Negated mean entropy of the predictions, $-\frac1n \sum_i H(p_i)$.

    Best of all for a collapsed model that is sure of one class: read it beside `diversity` or the source accuracy.

    Args:
        logits: of the target, (n, K).

    Returns:
        In [-log K, 0].
    """
    return -prediction.entropy(logits).item()


def diversity(logits: Tensor) -> float:
    r"""Entropy of the mean prediction, $H(\frac1n \sum_i p_i)$. Blind to how sure each prediction is.

    Args:
        logits: of the target, (n, K).

    Returns:
        In [0, log K].
    """
    return prediction.diversity(logits).item()


def information_maximisation(logits: Tensor) -> float:
    r"""Diversity minus mean entropy, as pytorch-adapt scores it. Assumes near-uniform classes.

    Args:
        logits: of the target, (n, K).

    Returns:
        In [0, log K].
    """
    return prediction.information_maximisation(logits).item()


def bnm(logits: Tensor) -> float:
    r"""Nuclear norm of the predictions over their number, $|P|_* / n$ (Musgrave et al., 2022), arXiv:2208.07360.

    Prefers models that were trained for it: BNM and MCC.

    Args:
        logits: of the target, (n, K).

    Returns:
        In (0, 1].
    """
    return -prediction.bnm(logits).item()


@torch.no_grad()
def snd(logits: Tensor, temperature: float = 0.05, chunk: int = 1024) -> float:
    r"""Soft neighbourhood density (Saito et al., 2021), arXiv:2108.10860.

    $$\frac1n \sum_i H\Bigl(\operatorname{softmax}_{j \ne i}\bigl(\cos(p_i, p_j) / T\bigr)\Bigr)$$

    A row's similarity to itself is left out; the authors set it to -1/T, which agrees to about 1e-12. Largest for a
    collapsed model, whose predictions are all neighbours: never use it without `diversity`.

    Args:
        logits: of the target, (n, K), n >= 2.
        temperature: T.
        chunk: rows handled at once; memory is chunk times n.

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
    r"""Negated deep embedded validation risk (You et al., ICML 2019), arXiv:2606.04665.

    $$-\Bigl[\overline{w \ell} + \eta \bar w - \eta\Bigr], \qquad
    \eta = -\frac{\operatorname{cov}(w \ell, w)}{\operatorname{var}(w)}$$

    The control variate $\eta$ uses moments divided by n - 1; it is 0 where the weights do not vary. Weights of a
    sharp domain classifier make it unstable.

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
    # Below this the variance of the weights is only the rounding of one constant.
    varies = covariance[1, 1] > torch.finfo(weights.dtype).eps ** 2 * w.mean() ** 2
    eta = -covariance[0, 1] / covariance[1, 1] if varies else 0.0
    return -float((w * loss).mean() + eta * w.mean() - eta)


@of_features
@torch.no_grad()
def rankme(features: Tensor) -> float:
    r"""Effective rank of the features (Garrido et al., 2023), arXiv:2210.02885.

    $$\exp H\Bigl(\frac{\sigma}{\sum_i \sigma_i}\Bigr)$$

    The paper adds 1e-7 to each share; here a zero share simply adds nothing. Needs many more rows than dimensions.
    It reads features alone, and can rank models against their accuracy.

    Args:
        features: of the target, (n, d).

    Returns:
        In [1, min(n, d)].
    """
    sigma = torch.linalg.svdvals(features.to(torch.promote_types(features.dtype, torch.float32)))
    shares = sigma / sigma.sum().clamp(min=torch.finfo(sigma.dtype).tiny)
    return torch.special.entr(shares).sum().exp().item()


def class_ami(features: Tensor, logits: Tensor, seed: int = 0) -> float:
    """Adjusted mutual information of predictions and k-means clusters (Musgrave et al., 2022), arXiv:2208.07360.

    As many clusters as classes, or as samples where these are fewer. A model that predicts one class only gets 0, the
    level of chance, also where its features have collapsed to one cluster, for which the bare formula gives 1. It asks
    whether predictions follow the clusters, not whether the clusters have the right names.

    Args:
        features: of the target, (n, d).
        logits: of the same samples, (n, K).
        seed: of k-means.

    Returns:
        At most 1; near 0 for independent labellings.
    """
    # Half a second, which commands that score nothing should not wait for.
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
        # Fewer distinct points than classes: a collapsed model, which the score itself punishes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kmeans.fit_predict(features.detach().float().cpu().numpy())


@torch.no_grad()
def mixval(inputs: Tensor, predict: Callable[[Tensor], Tensor], seed: int = 0, share: float = 0.55) -> float:
    r"""Agreement on mixed inputs, after MixVal (Hu et al., NeurIPS 2023).

    Each input is mixed, $\lambda x_i + (1 - \lambda) x_j$, once with another one of its predicted class (intra) and
    once with one of another class (inter). The score is the mean over both kinds of the share of mixtures that are
    predicted as $x_i$ was. The authors rank models by each kind and average the ranks; a mean of shares needs no
    pool of models. Where one kind has no pair at all, as with a single predicted class, the score is 0, the worst.

    Args:
        inputs: of the target, (n, ...), floating point.
        predict: logits (m, K) of inputs (m, ...), in eval mode.
        seed: of the pairing.
        share: $\lambda$, in (0.5, 1).

    Returns:
        In [0, 1].
    """
    labels = predict(inputs).argmax(dim=1).cpu()
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    size = counts[labels[order]]
    first = (counts.cumsum(0) - counts)[labels[order]]
    position = torch.arange(len(order))
    uniform = torch.rand(2, len(order), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    # Sorted by class, a class is one run: partners lie inside the run (but not oneself), or anywhere outside it.
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
