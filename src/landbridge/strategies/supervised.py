"""Learning from the labels of one domain."""

from typing import Any, ClassVar

from torch import Tensor

from landbridge.freezing import Depth
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class SourceOnly(Strategy):
    r"""Train on the source and apply the network to the target as it is: $\mathrm{CE}(g_s, y_s)$.

    The row without which no gain of an adaptation method can be read.
    """

    needs: ClassVar = frozenset({"source"})

    def loss(self, source: Output) -> dict[str, Tensor]:
        """Cross-entropy on the source."""
        return {"classify": self.classify(source)}


class TargetOnly(Strategy):
    r"""Train on the visible target labels: $\mathrm{CE}(g_t, y_t)$.

    From scratch it is the reference that transfer has to beat. From pretrained weights it is fine-tuning: see
    `conf/strategy/fine_tune.yaml`.
    """

    needs: ClassVar = frozenset({"target"})

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Cross-entropy on the labelled target."""
        return {"classify": self.classify(target)}


class LinearProbe(TargetOnly):
    """Train the head on the features of a backbone that is frozen throughout, whatever else is set.

    Args:
        **base: see `Strategy`. Its freezing policy has no effect.
    """

    ignores: ClassVar = frozenset({"freeze"})

    def __init__(self, **base: Any) -> None:
        base["freeze"] = Depth("all")
        super().__init__(**base)
