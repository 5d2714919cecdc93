"""Selection rules without unlabelled scores: last epoch, source and target validation accuracy, and the oracle."""

import math
from typing import ClassVar

from torch import Tensor

from landbridge.selection.rule import Rule, ValidationOutputs


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of correct predictions among the samples with a visible label.

    Args:
        logits: (n, classes).
        labels: class indices (n,); -1 for a hidden label.
    """
    shown = labels >= 0
    return float((logits[shown].argmax(1) == labels[shown]).float().mean())


def _accuracy(evidence: ValidationOutputs, role: str) -> float:
    return accuracy(evidence.logits[role], evidence.labels[role]) if evidence.finite[role] else math.nan


class Last(Rule):
    """Selects the last epoch of every run."""

    name: ClassVar = "last"
    least: ClassVar = 0

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the number of the epoch."""
        return float(evidence.epoch)


class SourceVal(Rule):
    """Accuracy on the source's validation split. It does not use the target."""

    name: ClassVar = "source_val"
    required_labels: ClassVar = frozenset({"source_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the accuracy in [0, 1]; nan if an output for the source is not finite."""
        return _accuracy(evidence, "source")


class TargetVal(Rule):
    """Accuracy on the target validation samples whose labels are visible under the setting `target_labels`."""

    name: ClassVar = "target_val"
    required_labels: ClassVar = frozenset({"target_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the accuracy in [0, 1]; nan if an output for the target is not finite."""
        return _accuracy(evidence, "target")


class Oracle(Rule):
    """Accuracy on all target validation labels, including hidden ones. No other rule may read hidden labels.

    The final evaluation computes this accuracy after training, from stored predictions. All results that depend on
    the oracle are marked ORACLE.
    """

    name: ClassVar = "oracle"
    required_labels: ClassVar = frozenset({"sealed_labels"})
    oracle: ClassVar = True

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the accuracy in [0, 1]; call this only after the final evaluation has opened the labels."""
        return accuracy(evidence.logits["target"], evidence.labels["target"])
