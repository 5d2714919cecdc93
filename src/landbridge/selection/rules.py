"""The first selection rules: the last epoch, the validation score on either side, and the oracle."""

import math
from typing import ClassVar

from landbridge.selection.rule import Rule, ValidationOutputs


def _score(outputs: ValidationOutputs, role: str) -> float:
    finite = outputs.finite[role]
    return outputs.task.score(outputs.logits[role], outputs.labels[role]) if finite else math.nan


class Last(Rule):
    """Keep the last epoch: nothing is selected."""

    name: ClassVar = "last"
    least: ClassVar = 0

    def score(self, evidence: ValidationOutputs) -> float:
        """The number of the epoch."""
        return float(evidence.epoch)


class SourceVal(Rule):
    """The task's leading metric, such as accuracy, on the source's validation split. No target sample is read."""

    name: ClassVar = "source_val"
    required_labels: ClassVar = frozenset({"source_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """For accuracy in [0, 1]; nan where an output is not finite."""
        return _score(evidence, "source")


class TargetVal(Rule):
    """The task's leading metric, such as accuracy, on those target validation labels that `target_labels` shows."""

    name: ClassVar = "target_val"
    required_labels: ClassVar = frozenset({"target_labels"})

    def score(self, evidence: ValidationOutputs) -> float:
        """For accuracy in [0, 1]; nan where an output is not finite."""
        return _score(evidence, "target")


class Oracle(Rule):
    """The task's leading metric on all target validation labels, hidden ones included: what no honest rule can see.

    It is computed after training, by the final evaluation, from predictions that were kept. All that it touches is
    stamped ORACLE.
    """

    name: ClassVar = "oracle"
    required_labels: ClassVar = frozenset({"sealed_labels"})
    oracle: ClassVar = True

    def score(self, evidence: ValidationOutputs) -> float:
        """For accuracy in [0, 1], once the final evaluation has opened the labels."""
        return _score(evidence, "target")
