"""Adversarial adaptation of an encoder for the target alone."""

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from landbridge.data.streams import Batch
from landbridge.losses import domain_loss
from landbridge.strategies.adversarial.domain_discriminator import domain_discriminator
from landbridge.strategies.base import Strategy, total
from landbridge.strategies.requirements import Requirements
from landbridge.training.output import Output

DISCRIMINATOR, ENCODER = 0, 1


class ADDA(Strategy):
    r"""Adversarial discriminative domain adaptation (Tzeng et al., 2017, arXiv:1702.05464).

    The source model's encoder $E_s$ and head stay as they are. A copy $E_t$ learns to encode the target so that a
    domain discriminator takes it for the source. On every batch the discriminator minimises $\mathrm{BCE}(D(E_s(x_s)),
    D(E_t(x_t)))$, and then $E_t$ minimises $-\log D(E_t(x_t))$ (inverted labels). Source inputs are always encoded by
    $E_s$, in evaluation too. It drifts, or collapses where the discriminator wins: its loss then falls to 0. Visible
    target labels, where there are any, add their cross-entropy to the second step.

    Args:
        hidden: width of the discriminator's two hidden layers.
        freeze_statistics: whether BatchNorm's statistics in $E_t$ stay those of the source model.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"},
        optional_streams={"target"},
        source_model=True,
        looks_back=True,
        trains_head=False,
    )

    def __init__(self, hidden: Annotated[int, Gt(0)] = 1024, freeze_statistics: bool = False, **base: Any) -> None:
        super().__init__(**base)
        self.automatic_optimization = False
        self.freeze_statistics = freeze_statistics
        self.discriminator = domain_discriminator(self.network.backbone.features, hidden)

    def parameter_groups(self) -> list[list[str]]:
        """The discriminator, and the target's encoder."""
        return [["discriminator."], ["network.backbone."]]

    def network_for(self, name: str) -> nn.Module:
        """Encode the source with the source model, and everything else with its copy."""
        return self.initial if name == "source" else self.network

    def train(self, mode: bool = True) -> "ADDA":
        """Set the mode of all modules but, where they are frozen, of BatchNorm layers."""
        super().train(mode)
        if self.freeze_statistics:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Let the discriminator learn, then the encoder mislead it."""
        outputs = self.encode_streams(batch)
        with torch.autocast(self.device.type, enabled=False):
            source, target = outputs["source"].features, outputs["target_unlabelled"].features
            tell = domain_loss(self.discriminator(source), self.discriminator(target.detach()))
        self.step_optimizers(DISCRIMINATOR, tell)
        terms = self.loss_terms(outputs)
        self.step_optimizers(ENCODER, total(terms))
        self.count_step({"tell": tell} | terms)

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Have the target taken for the source; classify its labelled samples, where there are any."""
        domain = self.discriminator(target_unlabelled.features)
        terms = {"mislead": binary_cross_entropy_with_logits(domain, torch.ones_like(domain))}
        return terms | ({"classify": self.classify(target)} if target else {})
