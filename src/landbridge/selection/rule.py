"""A selection rule: what picks the epoch to keep, from what the setting allows to be seen."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor


class Judge(Protocol):
    """What a rule asks of a task."""

    kind: ClassVar[str]

    def score(self, outputs: Tensor, y: Tensor) -> float:
        """Return the leading metric, higher is better, over the samples whose label is shown."""
        ...


@dataclass(frozen=True)
class ValidationOutputs:
    """What may be seen at the end of an epoch.

    Attributes:
        epoch: from 0 on.
        logits: by domain (`source`, `target`), of its validation samples (n, classes).
        features: by domain, of the same samples (n, d).
        labels: by domain, of those samples whose labels the setting shows; -1 where it hides them (n,).
        task: judges outputs by labels.
        inputs: reads the target's validation samples at given positions, as floating-point tensors (m, ...).
        predict: returns the model's logits (m, classes) of such samples.
    """

    epoch: int
    logits: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    task: Judge
    inputs: Callable[[Tensor], Tensor] | None = None
    predict: Callable[[Tensor], Tensor] | None = None

    @cached_property
    def finite(self) -> dict[str, bool]:
        """Whether all outputs for a domain are finite, asked once for all rules."""
        finite: dict[str, bool] = {}
        for outputs in (self.logits, self.features):
            for role, each in outputs.items():
                finite[role] = finite.get(role, True) and bool(torch.isfinite(each).all())
        return finite


class Rule(ABC):
    """Scores an epoch; the epoch with the highest score is kept, the later one where scores are equal.

    A rule is judged beside all others: every run stores every rule's score of every epoch.
    """

    #: The rule's name in records and tables, equal to its file in `conf/selection/`.
    name: ClassVar[str]
    #: What it looks at: `source_labels`, `target_labels`, or nothing but unlabelled outputs.
    required_labels: ClassVar[frozenset[str]] = frozenset()
    #: Whether it looks at labels that the setting hides. What it touches is stamped.
    oracle: ClassVar[bool] = False
    #: Whether it runs the model on further inputs. Such a rule is computed only where it is the configured one.
    predicts: ClassVar[bool] = False
    #: Kinds of tasks whose outputs it can score; None: all.
    tasks: ClassVar[frozenset[str] | None] = None
    #: The fewest validation samples of a domain that it can score.
    least: ClassVar[int] = 1
    #: How it is known to fail, said where it is the configured rule; empty where nothing goes wrong by design.
    caution: ClassVar[str] = ""

    @abstractmethod
    def score(self, evidence: ValidationOutputs) -> float:
        """Score an epoch, higher is better; nan where the model's outputs are not finite."""
