"""Learning from the labels of one domain."""

from typing import Any, ClassVar

from torch import Tensor

from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.training.freezing import Depth
from landbridge.training.output import Output


class Supervised(Strategy):
    r"""Cross-entropy on the labelled source and on the visible target labels, where there are any.

    $\mathrm{CE}(g_s, y_s) + \mathrm{CE}(g_t, y_t)$. Methods that add an auxiliary loss to it have no class: their file
    in `conf/strategy/` names this one and a term.
    """

    requirements: ClassVar = Requirements(streams={"source"}, optional_streams={"target"})

    def loss(self, source: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Cross-entropy of every labelled stream."""
        return {"classify": self.classify(source, target)}


class SourceOnly(Strategy):
    r"""Train on the source and apply the network to the target as it is: $\mathrm{CE}(g_s, y_s)$.

    The baseline that every gain of an adaptation method is measured against.
    """

    requirements: ClassVar = Requirements(streams={"source"})

    def loss(self, source: Output) -> dict[str, Tensor]:
        """Cross-entropy on the source."""
        return {"classify": self.classify(source)}


class TargetOnly(Strategy):
    r"""Train on the visible target labels: $\mathrm{CE}(g_t, y_t)$.

    From scratch it is the reference that transfer has to beat. From pretrained weights it is fine-tuning: see
    `conf/strategy/fine_tune.yaml`.
    """

    requirements: ClassVar = Requirements(streams={"target"})

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Cross-entropy on the labelled target."""
        return {"classify": self.classify(target)}


class LinearProbe(TargetOnly):
    """Train the head on the features of a backbone that is frozen throughout, whatever else is set.

    Args:
        **base: see `Strategy`. Its freezing policy has no effect.
    """

    requirements: ClassVar = TargetOnly.requirements.but(ignored_groups={"freeze"})

    def __init__(self, **base: Any) -> None:
        base["freeze"] = Depth("all", epochs=base["freeze"].epochs)
        super().__init__(**base)
