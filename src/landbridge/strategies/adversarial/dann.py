"""Domain-adversarial training."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Lt
from torch import Tensor

from landbridge.losses import dann_ramp, domain_loss, reverse_gradient
from landbridge.strategies.adversarial.domain_discriminator import domain_discriminator
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.training.output import Output


class DANN(Strategy):
    r"""Domain-adversarial neural network (Ganin et al., 2016, arXiv:1505.07818).

    A domain discriminator $D$ is trained to distinguish source features from target features. The encoder is trained to
    make them indistinguishable. The loss is
    $\mathrm{CE}(g_s, y_s) + w\,\mathrm{BCE}(D(\mathrm{GRL}_\lambda(f)), \text{domain})$. The gradient reversal
    multiplies the encoder's gradient by $-\lambda$, with $\lambda(t) = 2 / (1 + e^{-10t}) - 1$. It does not change the
    discriminator's gradient. If target labels are visible, the cross-entropy includes them.

    The discriminator is that of the paper's network for SVHN, without dropout. That of CDAN's authors, who also use it
    for DANN, has `dropout=0.5` (thuml/CDAN, `pytorch/network.py`).

    Args:
        weight: weight of the domain loss, $w$.
        hidden: width of the discriminator's two hidden layers.
        dropout: share of both hidden layers' outputs that training sets to 0.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, separate_heads=True
    )

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 1.0,
        hidden: Annotated[int, Gt(0)] = 1024,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.discriminator = domain_discriminator(self.network.features, hidden, dropout)

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropy of labelled samples, and the domain loss behind a gradient reversal."""
        scale = dann_ramp(self.progress)
        domains = [
            self.discriminator(reverse_gradient(stream.features, scale)) for stream in (source, target_unlabelled)
        ]
        return {"supervised": self.supervised(source, target), "confuse": self.weight * domain_loss(*domains)}
