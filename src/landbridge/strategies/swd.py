"""Alignment by sliced Wasserstein distances, of whole domains and class by class."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn.functional import softmax

from landbridge.losses import (
    class_conditional_sliced_wasserstein2,
    dann_ramp,
    random_directions,
    sliced_wasserstein2,
)
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output

Share = Annotated[float, Ge(0), Le(1)]


class SWD(Strategy):
    r"""Sliced Wasserstein adaptation with a class-conditional term (Gabourie et al., 2019, arXiv:1907.02271).

    $$\mathrm{CE}(g_s, y_s) + \lambda(t) \Bigl[ w\,\mathrm{SW}_2^2(f_s, f_t)
    + \eta \sum_k \mathrm{SW}_2^2\bigl(f_s \mid y = k,\; f_t \mid \hat y = k,\ \max p > \tau\bigr) \Bigr]$$

    along random directions that are drawn anew in each step. The class term begins after a warm-up, since the
    pseudo-labels $\hat y$ of an untrained classifier are noise; they carry no gradient. Both weights rise with
    $\lambda(t) = 2 / (1 + e^{-10t}) - 1$, which is not the paper's, and distances are not divided by the number of
    features. Not the sliced Wasserstein *discrepancy* of Lee et al. (arXiv:1903.04064), which compares two classifiers.
    Visible target labels, where there are any, join the cross-entropy.

    Args:
        weight: of the distance between the domains, $w$.
        class_weight: of the sum of distances class by class, $\eta$; 0 leaves it out.
        threshold: $\tau$; less confident pseudo-labels are not used.
        warm_up: share of the training, in [0, 1], before pseudo-labels are used.
        directions: how many are drawn in a step.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 1.0,
        class_weight: Annotated[float, Ge(0)] = 1.0,
        threshold: Share = 0.95,
        warm_up: Share = 0.2,
        directions: Annotated[int, Gt(0)] = 64,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.class_weight = class_weight
        self.threshold = threshold
        self.warm_up = warm_up
        self.directions = directions

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; bring the domains together, and later their classes."""
        x, y = source.features, target_unlabelled.features
        directions = random_directions(self.directions, x.shape[1], device=x.device, dtype=x.dtype)
        scale = dann_ramp(self.progress)
        terms = {
            "classify": self.classify(source, target),
            "align": scale * self.weight * sliced_wasserstein2(x, y, directions),
        }
        if self.class_weight:
            per_class = self._class_distance(source, target_unlabelled, directions)
            terms["align_classes"] = scale * self.class_weight * per_class
        return terms

    def _class_distance(self, source: Output, target: Output, directions: Tensor) -> Tensor:
        if self.progress < self.warm_up:
            return source.features.new_zeros(())
        confidence, pseudo = softmax(target.logits.detach(), dim=1).max(dim=1)
        return class_conditional_sliced_wasserstein2(
            source.features,
            source.y,
            target.features,
            pseudo,
            confidence,
            self.threshold,
            target.logits.shape[1],
            directions,
        )
