"""Learning rate schedules: a factor on every learning rate, as a pure function of training progress."""

import math
from abc import ABC, abstractmethod
from typing import Annotated

from annotated_types import Ge, Gt, Lt


class Schedule(ABC):
    """A factor on the learning rate."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Return the factor at a progress in [0, 1]: batches seen over batches planned."""


class Constant(Schedule):
    """A constant learning rate."""

    def __call__(self, progress: float) -> float:
        """Return 1."""
        return 1.0


class Cosine(Schedule):
    r"""Linear warm-up, then half a cosine down to zero (Loshchilov & Hutter, 2017, arXiv:1608.03983).

    The factor after the warm-up is $\tfrac12 (1 + \cos \pi u)$, where $u$ is the progress since its end, in [0, 1].

    Args:
        warmup: share of the steps in which the rate rises linearly, in [0, 1).
    """

    def __init__(self, warmup: Annotated[float, Ge(0), Lt(1)] = 0.0) -> None:
        self.warmup = warmup

    def __call__(self, progress: float) -> float:
        """Return the factor, which rises from 0 to 1 and then falls to 0."""
        if progress < self.warmup:
            return progress / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


class InverseDecay(Schedule):
    r"""The decay of the adaptation papers: $(1 + \gamma t)^{-p}$ (Ganin et al., 2016, arXiv:1505.07818, section 5.2).

    Args:
        gamma: speed of the decay.
        power: exponent of the decay.
    """

    def __init__(self, gamma: Annotated[float, Ge(0)] = 10.0, power: Annotated[float, Ge(0)] = 0.75) -> None:
        self.gamma = gamma
        self.power = power

    def __call__(self, progress: float) -> float:
        """Return the factor, which falls from 1."""
        return (1 + self.gamma * progress) ** -self.power


class SlantedTriangular(Schedule):
    r"""A short linear rise and a long linear fall (ULMFiT: Howard & Ruder, 2018, arXiv:1801.06146, equation 3).

    The factor is $(1 + p\,(r - 1)) / r$, where $p$ rises from 0 to 1 and falls to 0 again.

    Args:
        cut: share of the steps in which the rate rises, in (0, 1).
        ratio: highest learning rate divided by the lowest, $r$.
    """

    def __init__(self, cut: Annotated[float, Gt(0), Lt(1)] = 0.1, ratio: Annotated[float, Ge(1)] = 32.0) -> None:
        self.cut = cut
        self.ratio = ratio

    def __call__(self, progress: float) -> float:
        """Return the factor, which is 1 at the cut and 1 / ratio at both ends."""
        up, down = progress / self.cut, (1 - progress) / (1 - self.cut)
        return (1 + min(up, down) * (self.ratio - 1)) / self.ratio
