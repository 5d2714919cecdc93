"""Logistic regression on frozen features."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Gt, MinLen
from torch import Tensor

from landbridge.heads import require_linear
from landbridge.strategies.frozen_features.closed_form_head import ClosedFormHead
from landbridge.tasks import ONE_CLASS


class LogisticRegression(ClosedFormHead):
    r"""Logistic regression with an $\ell_2$ penalty on frozen features, solved to its optimum by scikit-learn.

    The solution minimises $\frac12\lVert W\rVert^2 + C \sum_i \mathrm{CE}(W f_i + b, y_i)$ over the visible target
    labels. With `task.class_weights`, samples have weights in this sum. $C$ is chosen by the accuracy on the visible
    labels of the validation split. If several values of $C$ have the best accuracy, the smallest of them is chosen. The
    solution becomes the head. The backbone does not change.

    Args:
        strengths: values of $C$ to choose from.
        max_iter: greatest number of L-BFGS steps for each value of $C$.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: there are several values of $C$, and no validation label is visible.
    """

    requirements: ClassVar = ClosedFormHead.requirements.but(needs={ONE_CLASS}, balancing={"task.class_weights"})

    def __init__(
        self,
        strengths: Annotated[Sequence[Annotated[float, Gt(0)]], MinLen(1)] = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3),
        max_iter: Annotated[int, Gt(0)] = 5000,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.strengths = sorted(strengths)
        self.max_iter = max_iter

    @torch.no_grad()
    def solve(self) -> None:
        """Fit a head for every value of C, and put the best one into the network."""
        head, seen = require_linear(self.network.head, self), self.collect(self.learned_from)
        x, y = seen.features.double().cpu().numpy(), seen.y.cpu().numpy()
        weights = None if seen.weights is None else seen.weights.double().cpu().numpy()
        heads = [fit(x, y, len(head.bias), strength, self.max_iter, weights) for strength in self.strengths]
        chosen = 0
        if len(heads) > 1:
            labels = self.visible_validation_labels("chooses C; give one strategy.strengths=[1.0]", self.learned_from)
            held_out = self.validation_outputs(self.learned_from).features.double().cpu()
            scores = [self.task.score(held_out @ weight.T + bias, labels) for weight, bias in heads]
            chosen = int(np.argmax(scores))
        weight, bias = heads[chosen]
        head.weight.copy_(weight)
        head.bias.copy_(bias)
        self.note = {"strength": self.strengths[chosen]}


def fit(
    x: np.ndarray, y: np.ndarray, classes: int, strength: float, max_iter: int, weights: np.ndarray | None = None
) -> tuple[Tensor, Tensor]:
    """Solve a logistic regression.

    Args:
        x: features (n, d).
        y: class indices (n,).
        classes: number of classes. A class without samples has the probability 0.
        strength: `C`.
        max_iter: greatest number of steps.
        weights: of the samples (n,); None if all count alike.

    Returns:
        weight (classes, d) and bias (classes,), in double precision.
    """
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, -1e30)
    present = np.unique(y)
    if len(present) == 1:
        bias[present] = 0
        return torch.from_numpy(weight), torch.from_numpy(bias)
    from sklearn import linear_model  # importing it takes half a second

    found = linear_model.LogisticRegression(C=strength, max_iter=max_iter).fit(x, y, weights)
    # For two classes, scikit-learn returns only the logit of the second class. The logit of the first class is 0.
    two = len(present) == 2
    weight[present] = np.concatenate([0 * found.coef_, found.coef_]) if two else found.coef_
    bias[present] = np.concatenate([0 * found.intercept_, found.intercept_]) if two else found.intercept_
    return torch.from_numpy(weight), torch.from_numpy(bias)
