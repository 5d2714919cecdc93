"""Pseudo-labels: selection of confident predictions, FixMatch's loss, and SHOT's pseudo-labels from clusters."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot, softmax


def confidence_mask(probabilities: Tensor, threshold: float) -> Tensor:
    """Return which predictions are confident: their largest probability is above the threshold.

    Args:
        probabilities: (n, K).
        threshold: in [0, 1]; with 1, no prediction passes.

    Returns:
        Booleans, (n,).
    """
    return probabilities.amax(dim=1) > threshold


def fixmatch(weak_logits: Tensor, strong_logits: Tensor, threshold: float = 0.95) -> Tensor:
    r"""Compute FixMatch's loss on unlabelled samples (Sohn et al., 2020), arXiv:2001.07685.

    $$\frac1n \sum_i \mathbb 1[\max_k p^w_{ik} > \tau] \; \mathrm{CE}(g^s_i, \arg\max_k p^w_{ik})$$

    The mean is over all n samples, so that the loss grows with the share of samples above the threshold. No gradient
    flows through the weak views. Some public implementations use >= instead of >.

    Args:
        weak_logits: logits of weakly augmented inputs, (n, K).
        strong_logits: logits of the same inputs, strongly augmented, (n, K).
        threshold: $\tau$; 0.95 in the paper, 0.9 in TLLib's version for domain adaptation.

    Returns:
        A scalar >= 0.
    """
    probabilities = softmax(weak_logits.detach(), dim=1)
    losses = cross_entropy(strong_logits, probabilities.argmax(dim=1), reduction="none")
    return (confidence_mask(probabilities, threshold) * losses).mean()


@torch.no_grad()
def shot_pseudo_labels(features: Tensor, probabilities: Tensor, min_count: int = 0) -> Tensor:
    r"""Compute SHOT's pseudo-labels, the classes of the nearest centroids (Liang et al., 2020), arXiv:2002.08546.

    $$c_k^{(0)} = \frac{\sum_i p_{ik} \tilde f_i}{\sum_i p_{ik}}, \quad
    \hat y_i = \arg\max_k \cos(\tilde f_i, c_k^{(0)}), \quad
    c_k^{(1)} = \frac{\sum_i \mathbb 1[\hat y_i = k] \tilde f_i}{\sum_i \mathbb 1[\hat y_i = k]}$$

    The final pseudo-label is the class whose centroid $c_k^{(1)}$ is nearest. As in the authors' code, a 1 is
    appended to each feature vector and the result is L2-normalised. A class may have no members after the first
    round. In the authors' code, the cosine of such a class is undefined. Here no sample is assigned to it.

    Args:
        features: features of the whole target set in eval mode, (n, d).
        probabilities: class probabilities of the same samples, (n, K).
        min_count: no sample is assigned to a class that is predicted at most this often (partial domain adaptation).

    Returns:
        Class indices, (n,).
    """
    classes = probabilities.shape[1]
    points = normalize(torch.cat([features, torch.ones_like(features[:, :1])], dim=1), dim=1)
    kept = one_hot(probabilities.argmax(dim=1), classes).sum(dim=0) > min_count
    memberships, labels = probabilities, probabilities.argmax(dim=1)
    for _ in range(2):
        # The cosine does not depend on length, so the division by the sum of the weights can be left out.
        centroids = normalize(memberships.T @ points, dim=1)
        labels = (points @ centroids.T).masked_fill(~kept, -torch.inf).argmax(dim=1)
        memberships = one_hot(labels, classes).to(points.dtype)
        kept = memberships.sum(dim=0) > 0
    return labels
