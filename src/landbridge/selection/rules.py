"""The first selection rules: the last epoch, validation accuracy on either side, and the oracle."""

import math
from typing import ClassVar

from torch import Tensor

from landbridge.selection.rule import Rule, ValidationOutputs


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of right predictions among the samples whose label is shown.

    Args:
        logits: (n, classes).
        labels: class indices, -1 where hidden (n,).
    """
    shown = labels >= 0
    return float((logits[shown].argmax(1) == labels[shown]).float().mean())


def _accuracy(evidence: ValidationOutputs, role: str) -> float:
    return accuracy(evidence.logits[role], evidence.labels[role]) if evidence.finite[role] else math.nan


class Last(Rule):
    """Keep the last epoch: nothing is selected."""

    name: ClassVar = "last"
    least: ClassVar = 0

    def score(self, evidence: ValidationOutputs) -> float:
        """The number of the epoch."""
        return float(evidence.epoch)


class SourceVal(Rule):
    """Accuracy on the source's validation split. It knows nothing of the target."""

    name: ClassVar = "source_val"
    required_labels: ClassVar = frozenset({"source_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """Accuracy in [0, 1]; nan where an output is not finite."""
        return _accuracy(evidence, "source")


class TargetVal(Rule):
    """Accuracy on those target validation labels that `target_labels` shows."""

    name: ClassVar = "target_val"
    required_labels: ClassVar = frozenset({"target_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """Accuracy in [0, 1]; nan where an output is not finite."""
        return _accuracy(evidence, "target")


class Oracle(Rule):
    """Accuracy on all target validation labels, hidden ones included: what no honest rule can see.

    It is computed after training, by the final evaluation, from predictions that were kept. All that it touches is
    stamped ORACLE.
    """

    name: ClassVar = "oracle"
    required_labels: ClassVar = frozenset({"sealed_labels"})
    oracle: ClassVar = True

    def score(self, evidence: ValidationOutputs) -> float:
        """Accuracy in [0, 1], once the final evaluation has opened the labels."""
        return accuracy(evidence.logits["target"], evidence.labels["target"])
