"""Joint distribution optimal transport: the transport cost combines features and labels."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from landbridge.losses.distance import squared_distances


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
) -> Tensor:
    r"""Compute DeepJDOT's alignment loss (Damodaran et al., 2018), arXiv:1803.10081.

    $$\langle \gamma^\star, C \rangle, \qquad
    C_{ij} = \alpha |f^s_i - f^t_j|^2 + \lambda \, \mathrm{CE}(y_i, p_j)$$

    The plan $\gamma^\star$ is optimal for this cost $C$, and no gradient flows through the plan. In contrast, the
    authors' code computes the plan with the squared distance between one-hot label and prediction, and trains with
    cross-entropy. The caller must add the cross-entropy on the source. Small batches bias the plan.

    Args:
        source_features: (n, d).
        target_features: (m, d).
        source_y: class indices, (n,).
        target_logits: (m, K).
        alpha: weight of the feature distance; results are sensitive to this value.
        lambda_: weight of the label cost.

    Returns:
        A scalar >= 0. With `alpha` 1 and `lambda_` 0, it is the squared 2-Wasserstein distance of the features.

    Raises:
        ValueError: POT is not installed.
    """
    label_cost = -log_softmax(target_logits, dim=1).T[source_y]
    cost = alpha * squared_distances(source_features, target_features) + lambda_ * label_cost
    return (optimal_plan(cost) * cost).sum()
