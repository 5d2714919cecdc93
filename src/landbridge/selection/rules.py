"""Selection rules without unlabelled scores: last epoch, source and target validation accuracy, and the oracle."""

import math
from typing import ClassVar

from landbridge.selection.rule import Rule, ValidationOutputs


def _score(outputs: ValidationOutputs, role: str) -> float:
    task = (outputs.source_task if role == "source" else None) or outputs.task
    return task.score(outputs.logits[role], outputs.labels[role]) if outputs.finite[role] else math.nan


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
        """Return the leading metric; nan if an output is not finite."""
        return _score(evidence, "source")


class TargetVal(Rule):
    """The task's leading metric, such as accuracy, on those target validation labels that `target_labels` shows."""

    name: ClassVar = "target_val"
    required_labels: ClassVar = frozenset({"target_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the leading metric; nan if an output is not finite."""
        return _score(evidence, "target")


class Oracle(Rule):
    """The task's leading metric on all target validation labels, including hidden ones. No other rule may read them.

    The final evaluation computes this accuracy after training, from stored predictions. All results that depend on
    the oracle are marked ORACLE.
    """

    name: ClassVar = "oracle"
    required_labels: ClassVar = frozenset({"sealed_labels"})
    oracle: ClassVar = True

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the leading metric; call this only after the final evaluation has opened the labels."""
        return _score(evidence, "target")
