"""Supervised training on the labels of source, target or both."""

from typing import ClassVar

from torch import Tensor

from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.training.output import Output


class Supervised(Strategy):
    r"""Cross-entropy on the labelled source and, if target labels are visible, on the target.

    The loss is $\mathrm{CE}(g_s, y_s) + \mathrm{CE}(g_t, y_t)$. A method that only adds an auxiliary loss to it has no
    class. Its file in `conf/strategy/` names this class and the auxiliary loss.
    """

    requirements: ClassVar = Requirements(streams={"source"}, optional_streams={"target"}, separate_heads=True)

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
    """Train only the head, on the features of a backbone that is frozen in all epochs.

    The configured freezing policy has no effect.
    """

    requirements: ClassVar = TargetOnly.requirements.but(frozen_backbone=True)
