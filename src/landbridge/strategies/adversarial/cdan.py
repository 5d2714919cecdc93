"""Conditional domain-adversarial training."""

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.nn.functional import softmax

from landbridge.losses import (
    dann_ramp,
    domain_loss,
    entropy_weights,
    multilinear_map,
    randomised_multilinear_map,
    reverse_gradient,
)
from landbridge.strategies.adversarial.domain_discriminator import domain_discriminator
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class CDAN(Strategy):
    r"""Conditional adversarial domain adaptation, CDAN and CDAN+E (Long et al., 2018, arXiv:1705.10667).

    CDAN is DANN with a discriminator that reads features and predictions together. The loss is
    $\mathrm{CE}(g_s, y_s) + w\,\mathrm{BCE}(D(\mathrm{GRL}_\lambda(f \otimes p)), \text{domain})$, where $p$ is
    detached and $\lambda(t) = 2 / (1 + e^{-10t}) - 1$. CDAN+E weights samples by $1 + e^{-H(p)}$, normalised per
    domain. In the authors' code a reversed gradient flows through these weights; here they are constants. If target
    labels are visible, the cross-entropy includes them.

    The weight and `hidden` are those of the authors' code (thuml/CDAN, `pytorch/train_image.py`). For MNIST and USPS
    they set `hidden` to 500 (`pytorch/train_uspsmnist.py`). Their discriminator has `dropout=0.5`
    (`pytorch/network.py`); here it has none by default.

    Args:
        weight: weight of the domain loss, $w$.
        entropy_weighting: whether confident predictions have a larger weight (CDAN+E).
        hidden: width of the discriminator's two hidden layers.
        dropout: share of both hidden layers' outputs that training sets to 0.
        widest_map: largest allowed width of $f \otimes p$. If it is wider, fixed random matrices project it to
            `sketch` dimensions.
        sketch: width of the projection.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, needs={ONE_CLASS}
    )

    r_f: Tensor | None
    r_p: Tensor | None

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 1.0,
        entropy_weighting: bool = False,
        hidden: Annotated[int, Gt(0)] = 1024,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        widest_map: Annotated[int, Ge(0)] = 4096,
        sketch: Annotated[int, Gt(0)] = 1024,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.entropy_weighting = entropy_weighting
        features, classes = self.network.features, self.network.outputs
        sketched = features * classes > widest_map
        # The discriminator is only valid for these matrices, so they are saved with it.
        self.register_buffer("r_f", torch.randn(features, sketch) if sketched else None)
        self.register_buffer("r_p", torch.randn(classes, sketch) if sketched else None)
        self.discriminator = domain_discriminator(sketch if sketched else features * classes, hidden, dropout)

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropy of labelled samples, and the domain loss behind a gradient reversal."""
        scale = dann_ramp(self.progress)
        streams = source, target_unlabelled
        predictions = [softmax(stream.logits, dim=1) for stream in streams]
        joint = [self.join(stream.features, p) for stream, p in zip(streams, predictions, strict=True)]
        domains = [self.discriminator(reverse_gradient(each, scale)) for each in joint]
        weights = [entropy_weights(p) for p in predictions] if self.entropy_weighting else []
        return {"supervised": self.supervised(source, target), "confuse": self.weight * domain_loss(*domains, *weights)}

    def join(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Return the discriminator's input for features (b, d) and predictions (b, classes)."""
        if self.r_f is None or self.r_p is None:
            return multilinear_map(features, probabilities)
        return randomised_multilinear_map(features, probabilities, self.r_f, self.r_p)
