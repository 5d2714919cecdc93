"""Density ratios of target to source, the weights of deep embedded validation."""

import torch
from torch import Tensor


def density_ratios(source: Tensor, target: Tensor, held_out: Tensor) -> Tensor:
    r"""Estimate the ratio of target to source density by a domain classifier (You et al., ICML 2019, equation 4).

    $$w(f) = \frac{n_s}{n_t} \cdot \frac{P(\text{target} \mid f)}{P(\text{source} \mid f)}$$

    The classifier is a logistic regression on standardised features with scikit-learn's default L2 penalty. It uses
    no random numbers. The better the classifier separates the domains, the fewer samples have most of the weight.

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
    domain = torch.cat([torch.zeros(len(source)), torch.ones(len(target))])
    classifier = LogisticRegression(max_iter=1000).fit(((pooled - mean) * scale).cpu().numpy(), domain.numpy())
    log_odds = classifier.decision_function(((held_out.double() - mean) * scale).cpu().numpy())
    return torch.from_numpy(log_odds).exp() * len(source) / len(target)
