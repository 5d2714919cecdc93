"""Ridge regression on frozen features."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, MinLen
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.heads import require_linear
from landbridge.strategies.frozen_features.closed_form_head import ClosedFormHead
from landbridge.tasks import NUMBERS


class Ridge(ClosedFormHead):
    r"""Ridge regression on frozen features, in closed form (Hoerl & Kennard, 1970).

    The solution minimises $\sum_i |W f_i + b - y_i|^2 + \alpha |W|^2$ over the visible target labels; the intercept $b$
    is not penalised. Each number is fitted on the samples that have it. $\alpha$ is chosen by R2 on the
    visible labels of the validation split. If several values have the best score, the largest of them is chosen. The
    solution becomes the head, in the units of the data. The backbone does not change.

    Args:
        alphas: values of $\alpha$ to choose from; with 0 it is least squares.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: there are several values of $\alpha$ and no validation label is visible, or no visible
            label has some number.
    """

    requirements: ClassVar = ClosedFormHead.requirements.but(needs={NUMBERS})

    def __init__(
        self,
        alphas: Annotated[Sequence[Annotated[float, Ge(0)]], MinLen(1)] = (1e-2, 0.1, 1.0, 10.0, 100.0, 1e3),
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.alphas = sorted(alphas, reverse=True)

    def on_train_start(self) -> None:
        """Set the network's units to those of the data, because the solution is in these units."""
        if self.network.units is not None:
            self.network.units.set(torch.zeros(self.network.outputs), torch.ones(self.network.outputs))
        super().on_train_start()

    @torch.no_grad()
    def solve(self) -> None:
        """Fit a head for every value of alpha, and put the best one into the network."""
        head, seen = require_linear(self.network.head, self), self.collect(self.learned_from)
        if bool((lacking := seen.y.isnan().all(0)).any()):
            name = self.task.names[int(lacking.nonzero()[0])]
            raise LandbridgeError(f"strategy ridge: no visible label has the number '{name}'; raise target_labels")
        x, y = seen.features.double().cpu(), seen.y.double().cpu()
        heads = [fit_where_seen(x, y, alpha) for alpha in self.alphas]
        chosen = 0
        if len(heads) > 1:
            labels = self.visible_validation_labels("chooses alpha; give one strategy.alphas=[1.0]", self.learned_from)
            held_out = self.validation_outputs(self.learned_from).features.double().cpu()
            scores = torch.tensor([self.task.score(held_out @ weight.T + bias, labels) for weight, bias in heads])
            chosen = int(scores.nan_to_num(nan=-torch.inf).argmax())
        weight, bias = heads[chosen]
        head.weight.copy_(weight)
        head.bias.copy_(bias)
        self.note = {"alpha": self.alphas[chosen]}


def fit_where_seen(x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Solve a ridge regression for each number, on the samples that have this number.

    Args:
        x: features (n, d), float64.
        y: numbers (n, k), float64, nan where missing. Every number is there for some sample.
        alpha: see `fit_ridge`.

    Returns:
        weight (k, d) and bias (k,).
    """
    weight, bias, seen = x.new_zeros(y.shape[1], x.shape[1]), x.new_zeros(y.shape[1]), ~y.isnan()
    # Numbers that the same samples have share one decomposition.
    for rows in seen.T.unique(dim=0):
        alike = (rows == seen.T).all(1)
        weight[alike], bias[alike] = fit_ridge(x[rows], y[rows][:, alike], alpha)
    return weight, bias


def fit_ridge(x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Solve a ridge regression from the singular values of the centred features.

    Args:
        x: features (n, d), float64.
        y: numbers (n, k), float64.
        alpha: penalty on the squared weights, >= 0.

    Returns:
        weight (k, d) and bias (k,). Directions in which the features do not vary have no weight.
    """
    mean, centre = x.mean(0), y.mean(0)
    left, sizes, right = torch.linalg.svd(x - mean, full_matrices=False)
    varies = sizes > torch.finfo(x.dtype).eps * max(x.shape) * sizes.max()
    shrink = torch.where(varies, sizes / (sizes.square() + alpha).clamp(min=torch.finfo(x.dtype).tiny), 0.0)
    weight = (right.T * shrink) @ left.T @ (y - centre)
    return weight.T, centre - mean @ weight
