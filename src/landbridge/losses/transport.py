"""Joint distribution optimal transport: the transport cost combines features and labels."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, one_hot, softmax

from landbridge.losses.distance import squared_distances

#: Label cost that a plan minimises: the squared distance of label and prediction, or their cross-entropy.
Plan = Literal["squared", "cross_entropy"]


def optimal_plan(cost: Tensor) -> Tensor:
    r"""Compute the exact optimal transport plan between two uniform samples, by POT's network simplex.

    $$\gamma^\star = \arg\min_{\gamma \ge 0} \langle \gamma, C \rangle, \qquad
    \gamma \mathbf 1 = \tfrac1n \mathbf 1, \quad \gamma^\top \mathbf 1 = \tfrac1m \mathbf 1$$

    The solver runs on the CPU in float64. The cost is copied to the CPU, and the plan is copied back.

    Args:
        cost: (n, m), finite.

    Returns:
        (n, m), non-negative, sum 1, detached, with the dtype and on the device of `cost`.

    Raises:
        ValueError: POT is not installed.
    """
    try:
        import ot
    except ImportError as error:
        raise ValueError("optimal_plan: needs POT, which is not installed; run `pip install pot`.") from error
    plan = ot.emd([], [], cost.detach().double().cpu().numpy(), numItermax=1_000_000)
    return torch.as_tensor(plan).to(cost)


def deepjdot(
    source_features: Tensor,
    target_features: Tensor,
    source_y: Tensor,
    target_logits: Tensor,
    alpha: float,
    lambda_: float,
    plan: Plan = "squared",
) -> Tensor:
    r"""Compute DeepJDOT's alignment loss (Damodaran et al., 2018), arXiv:1803.10081.

    $$\langle \gamma^\star, C \rangle, \qquad
    C_{ij} = \alpha |f^s_i - f^t_j|^2 + \lambda \, \mathrm{CE}(y_i, p_j)$$

    No gradient flows through the plan $\gamma^\star$. With `cross_entropy`, it is optimal for this cost $C$, as in the
    paper. With `squared`, it is optimal for $\alpha |f^s_i - f^t_j|^2 + \lambda |y_i - p_j|^2$ with one-hot labels
    $y_i$, as in the authors' code (bbdamodaran/deepJDOT). The caller must add the cross-entropy on the source. Small
    batches bias the plan.

    Args:
        source_features: (n, d).
        target_features: (m, d).
        source_y: class indices, (n,).
        target_logits: (m, K).
        alpha: weight of the feature distance; results are sensitive to this value.
        lambda_: weight of the label cost.
        plan: label cost that the plan minimises.

    Returns:
        A scalar >= 0. With `alpha` 1 and `lambda_` 0, it is the squared 2-Wasserstein distance of the features.

    Raises:
        ValueError: POT is not installed.
    """
    label_cost = -log_softmax(target_logits, dim=1).T[source_y]
    feature_cost = alpha * squared_distances(source_features, target_features)
    cost = feature_cost + lambda_ * label_cost
    planned = cost
    if plan == "squared":
        labels = one_hot(source_y, target_logits.shape[1]).to(target_logits.dtype)
        planned = feature_cost + lambda_ * squared_distances(labels, softmax(target_logits, dim=1))
    return (optimal_plan(planned) * cost).sum()
