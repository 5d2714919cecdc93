"""Adversarial adaptation of a separate target encoder."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from landbridge.data.streams import Batch
from landbridge.losses import domain_loss
from landbridge.models.network import ENCODER_PARAMETERS
from landbridge.strategies.adversarial.domain_discriminator import domain_discriminator
from landbridge.strategies.base import Strategy
from landbridge.strategies.loss_totals import total
from landbridge.strategies.requirements import Requirements
from landbridge.training.output import Output

DISCRIMINATOR, ENCODER = 0, 1


class ADDA(Strategy):
    r"""Adversarial discriminative domain adaptation (Tzeng et al., 2017, arXiv:1702.05464).

    The source model's encoder $E_s$ and head are frozen. A copy $E_t$ of the encoder is trained on the target, so that
    a domain discriminator classifies target features as source features. On every batch the discriminator minimises
    $\mathrm{BCE}(D(E_s(x_s)), D(E_t(x_t)))$. Then $E_t$ minimises $-\log D(E_t(x_t))$ (inverted labels). Source inputs
    are always encoded by $E_s$, in evaluation too.

    Training is unstable. $E_t$ can drift. It can also collapse, if the discriminator separates the domains perfectly.
    The discriminator's loss then falls to 0. If target labels are visible, their cross-entropy is added to the second
    step.

    The width of the discriminator is that of the authors' code (erictzeng/adda, tools/train_adda.py). Their networks
    for digits have no BatchNorm. The default of `freeze_statistics` is that of TLLib, which freezes the statistics of
    $E_s$ only (examples/domain_adaptation/image_classification/adda.py). The authors take both steps at once, on the
    logits of the source model, with a fifth of the learning rate that trained the source model (scripts/svhn-mnist.sh).
    Here the encoder's step follows that of the discriminator, features are compared, and the learning rate is the
    configured one.

    Args:
        hidden: width of the discriminator's two hidden layers.
        freeze_statistics: whether the BatchNorm statistics in $E_t$ stay those of the source model.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"},
        optional_streams={"target"},
        source_model=True,
        looks_back=True,
        trains_head=False,
    )

    def __init__(self, hidden: Annotated[int, Gt(0)] = 500, freeze_statistics: bool = False, **base: Any) -> None:
        super().__init__(**base)
        self.automatic_optimization = False
        self.freeze_statistics = freeze_statistics
        self.discriminator = domain_discriminator(self.network.features, hidden)

    def parameter_groups(self) -> list[Sequence[str]]:
        """Return the discriminator's prefix and those of the target encoder, in this order."""
        return [["discriminator."], ENCODER_PARAMETERS]

    def network_for(self, name: str) -> nn.Module:
        """Return the source model for the source, and its trained copy for every other stream."""
        return self.initial if name == "source" else self.network

    def train(self, mode: bool = True) -> "ADDA":
        """Set the mode of all modules. BatchNorm layers stay in evaluation mode if their statistics are frozen."""
        super().train(mode)
        if self.freeze_statistics:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Take a step of the discriminator, then a step of the encoder against the discriminator."""
        outputs = self.encode_streams(batch)
        with torch.autocast(self.device.type, enabled=False):
            source, target = outputs["source"].features, outputs["target_unlabelled"].features
            tell = domain_loss(self.discriminator(source), self.discriminator(target.detach()))
        self.step_optimizers(DISCRIMINATOR, tell)
        terms = self.loss_terms(outputs)
        self.step_optimizers(ENCODER, total(terms))
        self.count_step({"tell": tell} | terms)

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the encoder's adversarial loss, and the cross-entropy of labelled target samples if there are any."""
        domain = self.discriminator(target_unlabelled.features)
        terms = {"mislead": binary_cross_entropy_with_logits(domain, torch.ones_like(domain))}
        return terms | ({"supervised": self.supervised(target)} if target else {})
