"""Supervised training on the labels of source, target or both."""

import math
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Lt
from torch import Tensor
from torch.nn.functional import dropout

from landbridge.data.streams import Batch
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.training.output import Output


class Supervised(Strategy):
    r"""Cross-entropy on the labelled source and, if target labels are visible, on the target.

    The loss is $\mathrm{CE}(g_s, y_s) + \mathrm{CE}(g_t, y_t)$. A method that only adds an auxiliary loss to it has no
    class. Its file in `conf/strategy/` names this class and the auxiliary loss.

    Args:
        feature_dropout: rate of the dropout on the features of all streams in training, before the head and the
            auxiliary losses. It is scaled so that the mean squared norm of the features does not change, as in SAFN
            (Xu et al., 2019, arXiv:1811.07456).
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(streams={"source"}, optional_streams={"target"}, separate_heads=True)

    def __init__(self, feature_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0, **base: Any) -> None:
        super().__init__(**base)
        self.feature_dropout = feature_dropout

    def encode(self, name: str, batch: Batch) -> Output:
        """Encode a stream; in training with the dropout of the features."""
        output = super().encode(name, batch)
        if not self.feature_dropout or not self.training:
            return output
        # `dropout` divides by 1 - p, so that the mean stays. The root of 1 - p keeps the squared norm instead.
        features = dropout(output.features, self.feature_dropout) * math.sqrt(1 - self.feature_dropout)
        head = self.network.source if name == "source" and self.network.source else self.network.outputs_of
        return replace(output, features=features, logits=head(features).to(self.dtype))

    def loss(self, source: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropy of the labelled streams."""
        return {"supervised": self.supervised(source, target)}


class SourceOnly(Strategy):
    r"""Train on the source, and test on the target without adaptation: $\mathrm{CE}(g_s, y_s)$.

    This is the baseline that every gain of an adaptation method is measured against.
    """

    requirements: ClassVar = Requirements(streams={"source"})

    def loss(self, source: Output) -> dict[str, Tensor]:
        """Return the cross-entropy of the source."""
        return {"supervised": self.supervised(source)}


class TargetOnly(Strategy):
    r"""Train on the visible target labels: $\mathrm{CE}(g_t, y_t)$.

    If training starts from scratch, this is the baseline for transfer. If training starts from pretrained weights, this
    is fine-tuning: see `conf/strategy/fine_tune.yaml`.
    """

    requirements: ClassVar = Requirements(streams={"target"}, separate_heads=True)

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Return the cross-entropy of the labelled target."""
        return {"supervised": self.supervised(target)}


class LinearProbe(TargetOnly):
    """Train only the head, on the features of backbone and bottleneck, which are frozen in all epochs.

    The configured freezing policy has no effect.
    """

    requirements: ClassVar = TargetOnly.requirements.but(frozen_backbone=True)
