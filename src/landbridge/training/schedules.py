"""Learning rate schedules: a factor on every learning rate, as a pure function of training progress."""

import math
from abc import ABC, abstractmethod
from copy import copy
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from landbridge.errors import LandbridgeError


class Schedule(ABC):
    """A factor on the learning rate."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Return the factor at a progress in [0, 1]: batches seen over batches planned."""

    def planned(self, steps: int, epochs: int) -> "Schedule":
        """Return the schedule of a training with a number of steps and epochs."""
        return self


class WarmUp(Schedule, ABC):
    """A linear rise of the learning rate from 0, and a schedule after it.

    The length of the rise is given in one of three units. Its default is 0.

    Args:
        warmup: its share of the steps, in [0, 1).
        warmup_steps: its steps.
        warmup_epochs: its epochs; parts of an epoch are possible.

    Raises:
        LandbridgeError: more than one unit is given.
    """

    def __init__(
        self,
        warmup: Annotated[float, Ge(0), Lt(1)] = 0.0,
        warmup_steps: Annotated[int, Ge(0)] = 0,
        warmup_epochs: Annotated[float, Ge(0)] = 0.0,
    ) -> None:
        given = {"warmup": warmup, "warmup_steps": warmup_steps, "warmup_epochs": warmup_epochs}
        if len(named := [f"{name}={value}" for name, value in given.items() if value]) > 1:
            raise LandbridgeError(f"scheduler: {' and '.join(named)} both set the warm-up; give one of them")
        self.warmup = warmup
        self.warmup_steps = warmup_steps
        self.warmup_epochs = warmup_epochs

    def planned(self, steps: int, epochs: int) -> "WarmUp":
        """Return the schedule with the warm-up as a share of the steps.

        Raises:
            LandbridgeError: the warm-up would not end.
        """
        schedule = copy(self)
        for name, all_of_them in (("warmup_steps", steps), ("warmup_epochs", epochs)):
            if length := getattr(self, name):
                if length >= all_of_them:
                    unit = name.removeprefix("warmup_")
                    raise LandbridgeError(
                        f"scheduler.{name}={length}: training has {all_of_them} {unit}; set fewer {unit} of warm-up"
                    )
                schedule.warmup = length / all_of_them
        return schedule

    def __call__(self, progress: float) -> float:
        """Return the factor, which rises from 0 to 1 in the warm-up."""
        if progress < self.warmup:
            return progress / self.warmup
        return self.after(progress - self.warmup, 1 - self.warmup)

    @abstractmethod
    def after(self, progress: float, of: float) -> float:
        """Return the factor after the warm-up.

        Args:
            progress: progress since its end, from 0 to `of`.
            of: the share of the steps after it.
        """


class Constant(WarmUp):
    """A constant learning rate after the warm-up."""

    def after(self, progress: float, of: float) -> float:
        """Return 1."""
        return 1.0


class Cosine(WarmUp):
    r"""Half a cosine down to zero (Loshchilov & Hutter, 2017, arXiv:1608.03983).

    The factor after the warm-up is $\tfrac12 (1 + \cos \pi u)$, where $u$ is the progress since its end, in [0, 1].

    Args:
        warmup: share of the steps in which the rate rises linearly, in [0, 1).
        **more: see `WarmUp`.
    """

    def __init__(self, warmup: Annotated[float, Ge(0), Lt(1)] = 0.0, **more: Any) -> None:
        super().__init__(warmup, **more)

    def after(self, progress: float, of: float) -> float:
        """Return the factor, which falls from 1 to 0."""
        return 0.5 * (1 + math.cos(math.pi * progress / of))


class InverseDecay(WarmUp):
    r"""The decay of the adaptation papers: $(1 + \gamma t)^{-p}$ (Ganin et al., 2016, arXiv:1505.07818, section 5.2).

    $t$ is the progress since the end of the warm-up, in [0, 1].

    Args:
        gamma: speed of the decay.
        power: exponent of the decay.
        **warmup: see `WarmUp`.
    """

    def __init__(
        self, gamma: Annotated[float, Ge(0)] = 10.0, power: Annotated[float, Ge(0)] = 0.75, **warmup: Any
    ) -> None:
        super().__init__(**warmup)
        self.gamma = gamma
        self.power = power

    def after(self, progress: float, of: float) -> float:
        """Return the factor, which falls from 1."""
        return (1 + self.gamma * (progress / of)) ** -self.power


class SlantedTriangular(Schedule):
    r"""A short linear rise and a long linear fall (ULMFiT: Howard & Ruder, 2018, arXiv:1801.06146, equation 3).

    The rise is its warm-up. The factor is $(1 + p\,(r - 1)) / r$, where $p$ rises from 0 to 1 and falls to 0 again.

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
