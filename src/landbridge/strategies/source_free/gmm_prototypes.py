"""Source-free alignment of the target's features with the Gaussians that a source model remembers."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from landbridge.errors import LandbridgeError
from landbridge.losses import random_directions, sliced_wasserstein2
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import CLASSES, Requirements
from landbridge.training.output import Output

GAUSSIANS = ("means", "factors", "shares")
# Drawn for every one that is used, so that some are sure enough.
CANDIDATES = 4


class GMMPrototypes(Strategy):
    r"""Source-free adaptation by prototypical distributions (Stan & Rostami, 2021, arXiv:2009.12518).

    The source model comes with one Gaussian per class of its features (see `GaussianModel`) instead of the data.
    Samples $z$ of that mixture, of which the head is surer than $\tau$, stand for the source:
    $\mathrm{CE}(h(z), y_z) + w\,\mathrm{SW}_2^2(f_t, z)$, along random directions drawn anew in each step. Visible
    target labels, where there are any, join the cross-entropy. Covariances are full: meant for features of some
    hundred dimensions.

    Args:
        weight: of the distance, $w$.
        threshold: $\tau$, in [0, 1]. Where no candidate of a step is sure enough, all of them may be taken.
        uniform: whether classes are drawn equally often, instead of as often as the source has them.
        directions: how many are drawn in a step.
        **base: see `Strategy`.
    """

    means: Tensor
    factors: Tensor
    shares: Tensor
    requirements: ClassVar = Requirements(
        streams={"target_unlabelled"},
        optional_streams={"target"},
        source_model=True,
        tasks=CLASSES,
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
        classes, d = self.network.outputs, self.network.backbone.features
        self.register_buffer("means", torch.zeros(classes, d))
        self.register_buffer("factors", torch.zeros(classes, d, d))
        self.register_buffer("shares", torch.zeros(classes))

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over the Gaussians of the source model.

        Raises:
            LandbridgeError: there are none, or they are of other features or classes.
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
        """Draw features (n, d) from the mixture, and the classes (n,) that they belong to."""
        shares = torch.ones_like(self.shares) if self.uniform else self.shares
        y = torch.multinomial(shares, n, replacement=True)
        noise = torch.randn(n, self.means.shape[1], device=y.device)
        return self.means[y] + torch.einsum("nij,nj->ni", self.factors[y], noise), y

    def draw_sure(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw features (n, d) of which the head is sure, and their classes (n,)."""
        z, y = self.draw(CANDIDATES * n)
        confidence = softmax(self.network.head(z).detach(), dim=1).amax(dim=1)
        # With fixed shapes nothing waits for the device; the tiny rest matters only where nothing is sure.
        chosen = torch.multinomial((confidence > self.threshold) + 1e-20, n, replacement=True)
        return z[chosen], y[chosen]

    def loss(self, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify samples of the Gaussians; bring the target's features to them."""
        features = target_unlabelled.features
        z, y = self.draw_sure(len(features))
        directions = random_directions(self.directions, z.shape[1], device=z.device)
        fit = cross_entropy(self.network.head(z), y)
        return {
            "classify": fit + self.classify(target) if target else fit,
            "align": self.weight * sliced_wasserstein2(z, features, directions),
        }
