"""Density ratios of target to source, the weights of deep embedded validation."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landbridge.selection.features_only import of_features

#: Weight decays of the domain classifier.
DECAYS = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: The decay if there are too few samples to choose one.
DEFAULT_DECAY = 1.0
#: One in so many samples is held out to choose the decay.
HELD_OUT = 5


@of_features
def density_ratios(source: Tensor, target: Tensor, held_out: Tensor) -> Tensor:
    r"""Estimate the ratio of target to source density by a domain classifier (You et al., ICML 2019, equation 4).

    $$w(f) = \frac{n_s}{n_t} \cdot \frac{P(\text{target} \mid f)}{P(\text{source} \mid f)}$$

    The classifier is a logistic regression on standardised features with an L2 penalty. As in the authors' code
    (thuml/Deep-Embedded-Validation, dev.py), it is trained with several weight decays, and the one with the highest
    accuracy on a held-out fifth of the samples is used. Among equally accurate ones it is the one under which the
    held-out domains are most likely; there the authors take the strongest. Their classifier is a network with two
    hidden layers, their decays reach from 0.1 to 1e-5, and their fifth is random. A linear classifier of a few hundred
    samples also needs stronger decays. Here every fifth sample of each domain is held out, so that no random number is
    used. The better the classifier separates the domains, the fewer samples have most of the weight.

    Args:
        source: source features for training the classifier, (n_s, d).
        target: target features for training the classifier, (n_t, d).
        held_out: source features that are not used for training the classifier, (m, d).

    Returns:
        Positive weights (m,), float64; their mean is near 1 if both domains overlap.
    """
    # This import takes half a second; commands that compute no score should not wait for it.
    from sklearn.linear_model import LogisticRegression

    pooled = torch.cat([source, target]).double()
    mean, std = pooled.mean(dim=0), pooled.std(dim=0)
    # A constant feature is ignored. Rounding can give it a small standard deviation that is not 0.
    scale = torch.where(std > torch.finfo(source.dtype).eps * pooled.abs().amax(dim=0), 1 / std, 0.0)
    x = ((pooled - mean) * scale).cpu().numpy()
    domain = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).numpy()
    place = torch.cat([torch.arange(len(source)), torch.arange(len(target))]).numpy()
    judged = place % HELD_OUT == HELD_OUT - 1

    def fitted(decay: float, rows: NDArray[np.bool_]) -> LogisticRegression:
        return LogisticRegression(C=1 / decay, max_iter=1000).fit(x[rows], domain[rows])

    def quality(classifier: LogisticRegression) -> tuple[float, float]:
        """Return the accuracy and the log-likelihood of the held-out domains."""
        log_odds = classifier.decision_function(x[judged]) * (2 * domain[judged] - 1)
        return float((log_odds > 0).mean()), -float(np.logaddexp(0, -log_odds).sum())

    if min(len(source), len(target)) < HELD_OUT:
        best = fitted(DEFAULT_DECAY, np.ones_like(judged))
    else:
        best = max((fitted(decay, ~judged) for decay in DECAYS), key=quality)
    log_odds = best.decision_function(((held_out.double() - mean) * scale).cpu().numpy())
    return torch.from_numpy(log_odds).exp() * len(source) / len(target)
