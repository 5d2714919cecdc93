"""How much more likely a source sample would be in the target: the weights of deep embedded validation."""

import torch
from torch import Tensor


def density_ratios(source: Tensor, target: Tensor, held_out: Tensor) -> Tensor:
    r"""Ratio of the target's density to the source's, by a domain classifier (You et al., ICML 2019, equation 4).

    $$w(f) = \frac{n_s}{n_t} \cdot \frac{P(\text{target} \mid f)}{P(\text{source} \mid f)}$$

    The classifier is a logistic regression on standardised features with scikit-learn's default L2 penalty, so that
    nothing is drawn at random. The better it tells the domains apart, the fewer samples carry all the weight.

    Args:
        source: features that the classifier learns from, (n_s, d).
        target: features that the classifier learns from, (n_t, d).
        held_out: source features that it has not seen, (m, d).

    Returns:
        Positive weights (m,), float64; their mean is near 1 where both domains overlap.
    """
    # Half a second, which commands that score nothing should not wait for.
    from sklearn.linear_model import LogisticRegression

    known = torch.cat([source, target]).double()
    mean, std = known.mean(dim=0), known.std(dim=0)
    # A feature that never varies says nothing, whatever its rounding.
    scale = torch.where(std > torch.finfo(source.dtype).eps * known.abs().amax(dim=0), 1 / std, 0.0)
    domain = torch.cat([torch.zeros(len(source)), torch.ones(len(target))])
    classifier = LogisticRegression(max_iter=1000).fit(((known - mean) * scale).cpu().numpy(), domain.numpy())
    log_odds = classifier.decision_function(((held_out.double() - mean) * scale).cpu().numpy())
    return torch.from_numpy(log_odds).exp() * len(source) / len(target)
