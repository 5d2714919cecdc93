"""The interface of a selection rule, which scores epochs from the outputs and labels that the setting allows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

#: For rules that need a probability for each class of a sample. It is the value of `landbridge.tasks.ONE_CLASS`.
ONE_CLASS = "one class a sample"


class Judge(Protocol):
    """The part of a task that rules use."""

    kind: ClassVar[str]
    gives: ClassVar[frozenset[str]]

    def score(self, outputs: Tensor, y: Tensor) -> float:
        """Return the leading metric, higher is better, over the samples whose label is shown."""
        ...


@dataclass(frozen=True)
class ValidationOutputs:
    """The outputs and labels that a rule may read at the end of an epoch.

    Attributes:
        epoch: number of the epoch, from 0 on.
        logits: by domain (`source`, `target`), logits of the validation samples (n, classes).
        features: by domain, features of the same samples (n, d).
        labels: by domain, labels of the same samples (n,); -1 for a label that the setting hides.
        task: computes the target's leading metric from outputs and labels.
        source_task: the same for the source, if it has a task of its own; None: `task`.
        inputs: function that returns the target's validation samples at given positions, as floating-point tensors
            (m, ...).
        predict: function that returns the model's logits (m, classes) for such samples.
    """

    epoch: int
    logits: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    task: Judge
    inputs: Callable[[Tensor], Tensor] | None = None
    predict: Callable[[Tensor], Tensor] | None = None
    source_task: Judge | None = None

    @cached_property
    def finite(self) -> dict[str, bool]:
        """By domain, whether all outputs are finite; computed once for all rules."""
        finite: dict[str, bool] = {}
        for outputs in (self.logits, self.features):
            for role, each in outputs.items():
                finite[role] = finite.get(role, True) and bool(torch.isfinite(each).all())
        return finite


class Rule(ABC):
    """Scores an epoch. The epoch with the highest score is kept; among equal scores, the latest epoch.

    Every run records the scores of all allowed rules at every epoch, so that rules can be compared.
    """

    #: The rule's name in records and tables, equal to the name of its file in `conf/selection/`.
    name: ClassVar[str]
    #: The labels that the rule reads: `source_labels`, `target_labels`; empty if it reads only unlabelled outputs.
    required_labels: ClassVar[frozenset[str]] = frozenset()
    #: Whether the rule reads labels that the setting hides. Results that depend on such a rule are marked ORACLE.
    oracle: ClassVar[bool] = False
    #: Whether the rule runs the model on further inputs. Such a rule is computed only if it is the configured one.
    predicts: ClassVar[bool] = False
    #: What a task must give for the rule to score its outputs (`Task.gives`); empty: any task.
    needs: ClassVar[frozenset[str]] = frozenset()
    #: Kinds of inputs on which the rule works (`image`, `vector`, `text`); None: all.
    kinds: ClassVar[frozenset[str] | None] = None
    #: Whether source and target may have different tasks, each with a head of its own.
    separate_heads: ClassVar[bool] = True
    #: The smallest number of validation samples per domain for which the rule has a score.
    least: ClassVar[int] = 1
    #: A known failure of the rule. It is logged as a warning if the rule is configured; empty if there is none.
    caution: ClassVar[str] = ""

    @abstractmethod
    def score(self, evidence: ValidationOutputs) -> float:
        """Score an epoch; higher is better. The score is nan if outputs of the model are not finite."""
