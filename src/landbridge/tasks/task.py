"""What is predicted, and how it is judged."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from landbridge.tasks.labels import LabelBudget, first_rows, shown
from landbridge.tasks.metrics import Metrics

#: Samples in an update of metrics.
JUDGED_TOGETHER = 4096


class Task(ABC):
    """The only place that knows what labels and outputs mean.

    Labels are a tensor with one row a sample. Integers below 0 and numbers that are nan are hidden: see `shown`.
    """

    #: Its name in records and settings.
    kind: ClassVar[str]
    #: The metric that leads in selection, tables and reports. Higher is better.
    leading: ClassVar[str]
    #: The metrics that a final table shows, with their titles; the leading one first.
    shown_metrics: ClassVar[dict[str, str]]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """A name for each output: a class, or a number that is predicted."""

    @property
    def outputs(self) -> int:
        """The width of the network's output."""
        return len(self.names)

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return the loss of each sample (b,).

        Args:
            outputs: of the network (b, `outputs`).
            y: labels (b, ...).
            scale: the unit in which errors of each output count (`outputs`,); None: 1. Classes have no unit.
        """

    def loss(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch, a scalar; see `losses`."""
        return self.losses(outputs, y, scale).mean()

    @property
    def has_units(self) -> bool:
        """Whether outputs are numbers in the units of the data."""
        return False

    def units(self, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return a centre and a scale for each output, from visible labels (n, ...); None if outputs have no unit."""
        return None

    @abstractmethod
    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return how well each sample is predicted (n,), higher is better: for paired statistics."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """Return metrics that are updated batch by batch."""

    def judge(self, outputs: Tensor, y: Tensor) -> dict[str, Any]:
        """Return all metrics of a test split.

        Args:
            outputs: of the network (n, `outputs`).
            y: labels (n, ...).
        """
        metrics = self.metrics()
        for own, labels in zip(outputs.split(JUDGED_TOGETHER), y.split(JUDGED_TOGETHER), strict=True):
            metrics.update(own, labels)
        return metrics.compute()

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
        """Return which samples show their label (n,): by default the first `budget` samples in some order.

        Args:
            y: labels (n, ...).
            budget: how many labels may be seen.
            order: positions in a random order that depends on no label (n,).
            at_most: fewer samples than the budget show all they have, instead of being an error.
            where: whose labels these are, for messages.

        Raises:
            LandbridgeError: there are fewer samples than asked for.
        """
        return first_rows(len(y), budget, order, at_most, where)

    def describe(self) -> dict[str, Any]:
        """Describe the task for a record."""
        return {
            "kind": self.kind,
            "leading": self.leading,
            "names": list(self.names),
            "shown": dict(self.shown_metrics),
        }
