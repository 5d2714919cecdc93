"""Adaptation by the discrepancy of two classifiers."""

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor, nn

from landbridge.data.streams import Batch
from landbridge.losses import classifier_discrepancy
from landbridge.strategies.base import Strategy, total
from landbridge.strategies.requirements import CLASSES, Requirements
from landbridge.training.output import Output

ENCODER, HEADS = 0, 1


class MCD(Strategy):
    r"""Maximum classifier discrepancy (Saito et al., 2018, arXiv:1712.02560).

    Two heads $F_1, F_2$ on one encoder $G$ take turns with it on every batch, $d$ being the mean absolute difference
    of their predictions on the target: (A) $\min_{G, F} \mathrm{CE}_1 + \mathrm{CE}_2$ on the source; (B) $\min_F
    \mathrm{CE}_1 + \mathrm{CE}_2 - d$, in which the heads part over target samples far from the source; (C) $n$ times
    $\min_G d$, which draws those samples in. BatchNorm and dropout are active in all of them. The paper's heads have
    hidden layers; here they are linear, the network's own and a second one that starts elsewhere, and the network's own
    predicts. Visible target labels, where there are any, join the cross-entropy.

    Args:
        encoder_steps: how often step C is taken, $n$.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, tasks=CLASSES
    )

    def __init__(self, encoder_steps: Annotated[int, Gt(0)] = 4, **base: Any) -> None:
        super().__init__(**base)
        self.automatic_optimization = False
        self.encoder_steps = encoder_steps
        self.second_head = nn.Linear(self.network.backbone.features, self.network.outputs)

    def parameter_groups(self) -> list[list[str]]:
        """The encoder, and the two heads."""
        return [["network.backbone."], ["network.head.", "second_head."]]

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples with both heads; what both say of the target is for `training_step` to weigh."""
        labelled = [stream for stream in (source, target) if stream]
        second = [nn.functional.cross_entropy(self.second_head(stream.features), stream.y) for stream in labelled]
        terms = {"classify": self.classify(source, target), "classify_second": torch.stack(second).sum()}
        return terms | {"discrepancy": self.discrepancy(target_unlabelled)}

    def discrepancy(self, target: Output) -> Tensor:
        """How far the two heads disagree."""
        return classifier_discrepancy(self.network.head(target.features), self.second_head(target.features))

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Take the three steps, each with a forward pass of its own."""
        terms, fit, _ = self._fit(batch)
        self.step_optimizers((ENCODER, HEADS), fit)
        _, fit, apart = self._fit(batch)
        self.step_optimizers(HEADS, fit - apart)
        for _ in range(self.encoder_steps):
            target = self.encode("target_unlabelled", batch["target_unlabelled"])
            with torch.autocast(self.device.type, enabled=False):
                apart = self.discrepancy(target)
            self.step_optimizers(ENCODER, apart)
        self.count_step(terms | {"discrepancy": apart})

    def _fit(self, batch: dict[str, Batch]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the terms that fit labels, with any that were added, their sum, and the discrepancy."""
        terms = self.loss_terms(self.encode_streams(batch))
        apart = terms.pop("discrepancy")
        return terms, total(terms), apart
