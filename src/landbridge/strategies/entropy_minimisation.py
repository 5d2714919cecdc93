"""Entropy minimisation."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from landbridge.losses import dann_ramp, entropy
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class EntropyMinimisation(Strategy):
    r"""Entropy minimisation (Grandvalet & Bengio, NIPS 2004), the simplest use of unlabelled samples.

    $\mathrm{CE}(g_s, y_s) + \lambda(t)\,w\,\frac1n \sum_i H(p^t_i)$: predictions on the target should be sure. This
    pushes the boundary between classes out of dense regions, and makes wrong predictions sure as well. The weight is
    that of the baseline ENT in (Saito et al., 2019, arXiv:1904.06487). It rises with
    $\lambda(t) = 2 / (1 + e^{-10t}) - 1$, which is not theirs, since the first predictions of a network that starts
    from scratch are noise. Visible target labels, where there are any, join the cross-entropy.

    Args:
        weight: of the mean entropy, $w$.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})
    optimises: ClassVar = frozenset({"entropy", "im"})
    optimises: ClassVar = frozenset({"entropy", "im"})

    def __init__(self, weight: Annotated[float, Ge(0)] = 0.1, **base: Any) -> None:
        super().__init__(**base)
        self.weight = weight

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; make target predictions sure."""
        doubt = dann_ramp(self.progress) * self.weight * entropy(target_unlabelled.logits)
        return {"classify": self.classify(source, target), "entropy": doubt}
