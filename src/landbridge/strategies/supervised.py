"""Learning from the labels of one domain."""

from typing import ClassVar

from torch import Tensor

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

    From scratch it is the reference that transfer has to beat. From pretrained weights it is fine-tuning, or, with
    the whole backbone frozen, a linear probe: see `conf/strategy/fine_tune.yaml` and `linear_probe.yaml`.
    """

    needs: ClassVar = frozenset({"target"})

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Cross-entropy on the labelled target."""
        return {"classify": self.classify(target)}
