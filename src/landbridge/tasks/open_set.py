"""One class a sample, or none of the known ones."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landbridge.tasks.classification import Classification, ClassificationMetrics
from landbridge.tasks.labels import LabelBudget


@dataclass(frozen=True)
class OpenSet(Classification):
    """A classification whose test split has samples of unknown classes.

    The label of such a sample is the number of known classes, k. The network has k outputs, and no output stands for
    unknown. So every unknown sample counts as wrong, and no unknown label trains.
    """

    def within(self, y: Tensor, budget: LabelBudget, order: Tensor, at_most: bool, where: str) -> Tensor:
        """Return which samples show their label (n,); unknown ones do not."""
        known = y < len(self.classes)
        return known if budget == "all" else super().within(y, budget, order, at_most, where) & known

    def metrics(self) -> "OpenSetMetrics":
        """Return metrics of known and unknown samples."""
        return OpenSetMetrics(self.classes)


class OpenSetMetrics(ClassificationMetrics):
    """The metrics of a classification on known samples, and the accuracy over all samples.

    Args:
        classes: the known classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        super().__init__(classes)
        self.unknown = 0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch of logits (b, classes) and class indices (b,), where k stands for unknown."""
        known = y < len(self.classes)
        if bool(known.any()):
            super().update(outputs[known], y[known])
        self.unknown += int((~known).sum())

    def compute(self) -> dict[str, Any]:
        """Return shares of 1, but for `nll` in nats.

        `known_accuracy` is the mean accuracy of the known classes (OS*), `accuracy` the share of all samples that are
        right, and `unknown` the number of unknown samples. All other metrics are those of the known samples.
        """
        known = super().compute()
        n = known["n"] + self.unknown
        accuracy = known["accuracy"] * known["n"] / n if n else torch.nan
        return known | {
            "n": n,
            "accuracy": accuracy,
            "known_accuracy": known["balanced_accuracy"],
            "unknown": self.unknown,
        }
