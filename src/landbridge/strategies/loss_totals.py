"""Sums of the terms of a loss: over the terms of a step, and over the steps of an epoch."""

import operator
from collections.abc import Mapping
from functools import reduce

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.training.processes import mean_over_processes


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of the terms of a loss. There must be at least one term."""
    return reduce(operator.add, terms.values())


class LossTotals:
    """The sum of each loss term over the steps of an epoch so far.

    Sums stay on the device. Lightning's `log` takes longer than the forward pass of a small network.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, terms: Mapping[str, Tensor], steps: int = 1) -> None:
        """Add the loss terms of a finished step, or their sums over several steps."""
        for name, value in terms.items():
            value = value.detach()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.steps += steps

    def require_finite(self, module: LightningModule, step: int) -> dict[str, Tensor]:
        """Return the mean of each sum over all processes.

        Args:
            module: the module that trains.
            step: number of steps so far, for the message.

        Raises:
            LandbridgeError: a sum is not finite.
        """
        sums = mean_over_processes(self.sums, module)
        if broken := [name for name, value in sums.items() if not torch.isfinite(value)]:
            terms = f"the loss terms {' and '.join(broken)} are" if len(broken) > 1 else f"the loss term {broken[0]} is"
            raise LandbridgeError(
                f"training diverged by step {step}: {terms} not finite in {type(module).__name__}; "
                "a lower optimizer.lr may help"
            )
        return sums
