"""Domain-adversarial training."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import dann_ramp, domain_loss, reverse_gradient
from landbridge.strategies.base import Strategy
from landbridge.strategies.critic import critic
from landbridge.strategies.output import Output


class DANN(Strategy):
    r"""Domain-adversarial neural network (Ganin et al., 2016, arXiv:1505.07818).

    A critic $D$ tells source features from target features, and the encoder is trained to mislead it:
    $\mathrm{CE}(g_s, y_s) + w\,\mathrm{BCE}(D(\mathrm{GRL}_\lambda(f)), \text{domain})$, where the gradient reversal
    multiplies the encoder's gradient by $-\lambda$, $\lambda(t) = 2 / (1 + e^{-10t}) - 1$, and leaves the critic's as
    it is. Visible target labels, where there are any, join the cross-entropy.

    Args:
        weight: of the domain loss, $w$.
        hidden: width of the critic's two hidden layers.
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 1.0, hidden: Annotated[int, Gt(0)] = 1024, **base: Any
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.critic = critic(self.network.backbone.features, hidden)

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; confuse the critic."""
        scale = dann_ramp(self.progress)
        domains = [self.critic(reverse_gradient(stream.features, scale)) for stream in (source, target_unlabelled)]
        return {"classify": self.classify(source, target), "confuse": self.weight * domain_loss(*domains)}
