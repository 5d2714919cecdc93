"""Adaptation by the discrepancy between two classifiers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor

from landbridge.data.streams import Batch
from landbridge.losses import classifier_discrepancy
from landbridge.models.network import ENCODER_PARAMETERS
from landbridge.strategies.base import Strategy
from landbridge.strategies.loss_totals import total
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output

ENCODER, HEADS = 0, 1


class MCD(Strategy):
    r"""Maximum classifier discrepancy (Saito et al., 2018, arXiv:1712.02560).

    Two heads $F_1, F_2$ read the features of one encoder $G$. Let $d$ be the mean absolute difference of their
    predictions on the target. Every batch takes three steps. Step (A), $\min_{G, F} \mathrm{CE}_1 + \mathrm{CE}_2$,
    trains everything on the source. Step (B), $\min_F \mathrm{CE}_1 + \mathrm{CE}_2 - d$, trains the heads to disagree
    on target samples that are far from the source. Step (C), $\min_G d$, is taken $n$ times. It trains the encoder to
    move these samples towards the source. BatchNorm and dropout are active in all steps.

    Both heads are of the kind that `head` sets. They have different initial weights, and the network's own head makes
    the predictions. `strategy=mcd` sets `head=mcd`: two hidden layers of 100 with BatchNorm and dropout 0.5. These
    heads and $n = 4$ are those of the authors' code for digits (mil-tokyo/MCD_DA, `classification/model/usps.py` and
    `main.py`). On a ResNet they use two layers of 1000 (`visda_classification/basenet.py`): `head.widths=[1000,1000]`.
    Their learning rate is 2e-4 with batches of 128; here all methods share one optimizer. If target labels are visible,
    the cross-entropy includes them.

    Args:
        encoder_steps: number of times that step (C) is taken, $n$.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, needs={ONE_CLASS}
    )

    def __init__(self, encoder_steps: Annotated[int, Gt(0)] = 4, **base: Any) -> None:
        super().__init__(**base)
        self.automatic_optimization = False
        self.encoder_steps = encoder_steps
        self.second_head = self.network.new_head()

    def parameter_groups(self) -> list[Sequence[str]]:
        """Return the prefixes of the encoder and those of the two heads, in this order."""
        return [ENCODER_PARAMETERS, ["network.head.", "second_head."]]

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropies of both heads and the discrepancy.

        `training_step` sets the sign of the discrepancy for each step.
        """
        labelled = [stream for stream in (source, target) if stream]
        second = [replace(stream, logits=self.second_head(stream.features)) for stream in labelled]
        terms = {"supervised": self.supervised(source, target), "supervised_second": self.supervised(*second)}
        return terms | {"discrepancy": self.discrepancy(target_unlabelled)}

    def discrepancy(self, target: Output) -> Tensor:
        """Return the discrepancy between the two heads on a batch of the target, $d$."""
        return classifier_discrepancy(target.logits, self.second_head(target.features))

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Take the steps (A), (B) and (C), each with its own forward pass."""
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
        """Return the loss terms without the discrepancy, their sum, and the discrepancy."""
        terms = self.loss_terms(self.encode_streams(batch))
        apart = terms.pop("discrepancy")
        return terms, total(terms), apart
