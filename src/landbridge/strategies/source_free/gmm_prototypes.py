"""Source-free alignment of the target's features with the Gaussians of a source model."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from landbridge.errors import LandbridgeError
from landbridge.losses import random_directions, sliced_wasserstein2
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output

GAUSSIANS = ("means", "factors", "shares")
# Number of drawn samples for every sample that is used, so that enough of them have a confident prediction.
CANDIDATES = 4


class GMMPrototypes(Strategy):
    r"""Source-free adaptation by prototypical distributions (Stan & Rostami, 2021, arXiv:2009.12518).

    The source model has one Gaussian for the features of each class (see `GaussianModel`). Samples $z$ of this mixture
    replace the source data. Only samples for which the head's confidence exceeds $\tau$ are used. The loss is
    $\mathrm{CE}(h(z), y_z) + w\,\mathrm{SW}_2^2(f_t, z)$, along random directions, which are drawn in each step. If
    target labels are visible, the cross-entropy includes them. Covariances are full matrices, so the method is meant
    for features with at most a few hundred dimensions.

    Args:
        weight: weight of the distance, $w$.
        threshold: $\tau$, in [0, 1]. If no candidate in a step exceeds it, all candidates may be used.
        uniform: whether all classes are drawn with the same probability. Otherwise the probability of a class is its
            share in the source.
        directions: number of directions that are drawn in a step.
        **base: see `Strategy`.
    """

    means: Tensor
    factors: Tensor
    shares: Tensor
    requirements: ClassVar = Requirements(
        streams={"target_unlabelled"},
        optional_streams={"target"},
        source_model=True,
        needs={ONE_CLASS},
        source_strategy="landbridge.strategies.GaussianModel",
    )

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 1.0,
        threshold: Annotated[float, Ge(0), Le(1)] = 0.99,
        uniform: bool = False,
        directions: Annotated[int, Gt(0)] = 64,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.threshold = threshold
        self.uniform = uniform
        self.directions = directions
        classes, d = self.network.outputs, self.network.features
        self.register_buffer("means", torch.zeros(classes, d))
        self.register_buffer("factors", torch.zeros(classes, d, d))
        self.register_buffer("shares", torch.zeros(classes))

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the Gaussians of the source model.

        Raises:
            LandbridgeError: the source model has no Gaussians, or their number of features or classes is different.
        """
        for name in GAUSSIANS:
            own = getattr(self, name)
            if name not in state or state[name].shape != own.shape:
                raise LandbridgeError(
                    "strategy GMMPrototypes needs a source model with Gaussians of its features: set start=source, "
                    "or start=checkpoint with one that strategy=gaussian_model has trained on the same classes"
                )
            own.copy_(state[name])

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw features (n, d) from the mixture, and return them with their classes (n,)."""
        shares = torch.ones_like(self.shares) if self.uniform else self.shares
        y = torch.multinomial(shares, n, replacement=True)
        noise = torch.randn(n, self.means.shape[1], device=y.device)
        return self.means[y] + torch.einsum("nij,nj->ni", self.factors[y], noise), y

    def draw_sure(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw features (n, d) with confident predictions of the head, and return them with their classes (n,)."""
        z, y = self.draw(CANDIDATES * n)
        confidence = softmax(self.network.head(z).detach(), dim=1).amax(dim=1)
        # All shapes are fixed, so the CPU does not wait for the GPU. The added 1e-20 has an effect only if no candidate
        # exceeds the threshold.
        chosen = torch.multinomial((confidence > self.threshold) + 1e-20, n, replacement=True)
        return z[chosen], y[chosen]

    def loss(self, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropy of samples of the Gaussians, and the distance of target features from them."""
        features = target_unlabelled.features
        z, y = self.draw_sure(len(features))
        directions = random_directions(self.directions, z.shape[1], device=z.device)
        fit = cross_entropy(self.network.head(z), y)
        return {
            "supervised": fit + self.supervised(target) if target else fit,
            "align": self.weight * sliced_wasserstein2(z, features, directions),
        }
