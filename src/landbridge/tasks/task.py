"""What is predicted, and how it is judged."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.tasks.labels import LabelBudget, first_rows, shown
from landbridge.tasks.metrics import Metrics, Shown

#: A label is the index of one class, and outputs are logits of the classes.
ONE_CLASS = "one class a sample"
#: A label is one number for each output, in the units of the data, and nan where hidden.
NUMBERS = "numbers"
#: Samples in an update of metrics.
JUDGED_TOGETHER = 4096


class Task(ABC):
    """The only place that knows what labels and outputs mean.

    Labels are a tensor with one row a sample. Integers below 0 and numbers that are nan are hidden: see `shown`.
    """

    #: Its name in records and settings.
    kind: ClassVar[str]
    #: What its labels and outputs are, for strategies, terms and rules that need more than a loss: `ONE_CLASS` or
    #: `NUMBERS`. So a new task is served by everything whose needs it meets.
    gives: ClassVar[frozenset[str]] = frozenset()
    #: The metric that leads in selection, tables and reports. Higher is better.
    leading: ClassVar[str]
    #: Share of each label that its loss spreads evenly over all classes (label smoothing).
    smoothing: float = 0.0
    #: The metrics that a final table shows, the leading one first: a title, or a `Shown` for a metric of your own.
    shown_metrics: ClassVar[Mapping[str, str | Shown]]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """A name for each output: a class, or a number that is predicted."""

    @property
    def outputs(self) -> int:
        """The width of the network's output."""
        return len(self.names)

    @property
    def has_classes(self) -> bool:
        """Whether a label is one class index (n,) and outputs are logits of the classes."""
        return ONE_CLASS in self.gives

    @property
    def columns(self) -> int:
        """The width of a label as a row of numbers."""
        return 1 if self.has_classes else self.outputs

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return the loss of each sample (b,).

        Args:
            outputs: of the network (b, `outputs`).
            y: labels (b, ...).
            scale: the unit in which errors of each output count (`outputs`,); None: 1. Classes have no unit.
        """

    def loss(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch, a scalar; see `losses`.

        With `weights` (b,), it is the mean of weights times losses. It is not divided by the sum of the weights, so
        that it stays a mean over single samples. Otherwise a batch of one class would not be weighted, and several
        processes would not equal one.
        """
        losses = self.losses(outputs, y, scale)
        return (losses if weights is None else weights * losses).mean()

    @property
    def can_be_smoothed(self) -> bool:
        """Whether some labels are classes, which label smoothing needs."""
        return False

    def smoothed(self, share: float) -> "Task":
        """Return the same task with label smoothing in its loss (Szegedy et al., 2016, arXiv:1512.00567).

        Args:
            share: share of each label that is spread evenly over all classes, in [0, 1).

        Raises:
            LandbridgeError: labels are no classes, and the share is not 0.
        """
        if share:
            raise LandbridgeError(
                f"label_smoothing={share:g} smooths classes, and the target's task is {self.kind.replace('_', ' ')}: "
                "set label_smoothing=0"
            )
        return self

    @property
    def has_units(self) -> bool:
        """Whether outputs are numbers in the units of the data."""
        return False

    def units(self, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return a centre and a scale for each output, from visible labels (n, ...); None if outputs have no unit."""
        return None

    @abstractmethod
    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return how well each sample of a test split is predicted (n,), higher is better: for paired statistics.

        A sample without a label has nan. Scores of several outputs are brought to one unit before their mean.
        """

    @abstractmethod
    def metrics(self) -> Metrics:
        """Return metrics that are updated batch by batch."""

    def judge(self, outputs: Tensor, y: Tensor) -> dict[str, Any]:
        """Return all metrics of a test split; those of `unmeasured` if it has no label.

        Args:
            outputs: of the network (n, `outputs`).
            y: labels (n, ...).
        """
        if not bool(shown(y).any()):
            return self.unmeasured()
        metrics = self.metrics()
        for own, labels in zip(outputs.split(JUDGED_TOGETHER), y.split(JUDGED_TOGETHER), strict=True):
            metrics.update(own, labels)
        return metrics.compute()

    def unmeasured(self) -> dict[str, Any]:
        """Return the metrics of a test split without any label: nan, and all outputs are undefined."""
        return {"n": 0, **dict.fromkeys(self.shown_metrics, math.nan), "undefined": list(self.names)}

    def score(self, outputs: Tensor, y: Tensor) -> float:
        """Return the leading metric over the samples whose label is shown; nan if there are none.

        Args:
            outputs: of the network (n, `outputs`).
            y: labels (n, ...), some of them hidden.
        """
        seen = shown(y)
        if not bool(seen.any()):
            return float("nan")
        metrics = self.metrics()
        metrics.update(outputs[seen], y[seen])
        return float(metrics.compute()[self.leading])

    def condensed(self, outputs: Tensor) -> Tensor:
        """Return what `score_of_condensed` needs of outputs (n, `outputs`), in as few bytes as possible."""
        return outputs

    def score_of_condensed(self, condensed: Tensor, y: Tensor) -> float:
        """Return the leading metric over all samples, from `condensed` outputs; nan if it is undefined."""
        return self.score(condensed, y)

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """Return the probability of each output (n, `outputs`); None if outputs are no scores of classes."""
        return None

    def answers(self, outputs: Tensor) -> dict[str, list[Any]]:
        """Return what is predicted for each sample, by column: what a person reads. By default, all numbers by name.

        Args:
            outputs: of the network (n, `outputs`).
        """
        return {name: column.tolist() for name, column in zip(self.names, outputs.T, strict=True)}

    @abstractmethod
    def to_labels(self, values: Tensor) -> Tensor:
        """Return labels in the dtype and shape of this task.

        Raises:
            ValueError: they have another shape.
        """

    @abstractmethod
    def strata(self, y: Tensor) -> Tensor:
        """Return the stratum of each sample for splits, a number from 0 on (n,)."""

    def within(self, y: Tensor, budget: LabelBudget, order: Tensor, at_most: bool, where: str) -> Tensor:
        """Return which samples show their label (n,): by default the first `budget` labelled samples in some order.

        Args:
            y: labels (n, ...).
            budget: how many labels may be seen.
            order: positions in a random order that depends on no label (n,).
            at_most: fewer samples than the budget show all they have, instead of being an error.
            where: whose labels these are, for messages.

        Raises:
            LandbridgeError: there are fewer samples than asked for.
        """
        return first_rows(shown(y), budget, order, at_most, where)

    def describe(self) -> dict[str, Any]:
        """Describe the task for a record."""
        shown = {key: each if isinstance(each, str) else each.title for key, each in self.shown_metrics.items()}
        own = {key: asdict(each) for key, each in self.shown_metrics.items() if isinstance(each, Shown)}
        return {"kind": self.kind, "leading": self.leading, "names": list(self.names), "shown": shown} | (
            {"metrics": own} if own else {}
        )
