"""Several tasks on the same samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from landbridge.tasks.labels import HIDDEN, shown
from landbridge.tasks.metrics import Metrics
from landbridge.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Several(Task):
    """Several tasks on the same samples: multi-task learning is a domain with several tasks.

    Labels are the columns of all tasks side by side (n, columns) in float32: one column for a classification, one for
    each class or number of the others; nan where a sample lacks a label. Outputs are those of all tasks side by side.
    The loss of a sample is the mean over the tasks for which it has a label. The leading metric is the mean of the
    tasks' own leading metrics. A label budget is a number of samples. Splits are stratified by the first task.

    Attributes:
        tasks: by name.
    """

    tasks: Mapping[str, Task]
    kind: ClassVar = "several"
    leading: ClassVar = "mean"
    shown_metrics: ClassVar = {"mean": "mean of the tasks"}

    def __eq__(self, other: object) -> bool:
        """Whether the tasks, their names and their order are equal. The order is that of the columns."""
        return isinstance(other, Several) and tuple(self.tasks.items()) == tuple(other.tasks.items())

    def __hash__(self) -> int:
        """Return a hash of names and tasks."""
        return hash(tuple(self.tasks.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs of all tasks, each after the name of its task."""
        return tuple(f"{name}.{output}" for name, task in self.tasks.items() for output in task.names)

    @cached_property
    def places(self) -> dict[str, tuple[slice, slice]]:
        """The columns of outputs and of labels that belong to each task."""
        places, output, column = {}, 0, 0
        for name, task in self.tasks.items():
            places[name] = slice(output, output + task.outputs), slice(column, column + task.columns)
            output, column = output + task.outputs, column + task.columns
        return places

    def parts(self, outputs: Tensor, y: Tensor) -> Iterator[tuple[str, Task, Tensor, Tensor]]:
        """Yield each task with its name, its outputs (n, k) and its own labels."""
        for name, task in self.tasks.items():
            of_outputs, of_labels = self.places[name]
            yield name, task, outputs[:, of_outputs], _own(task, y[:, of_labels])

    def outputs_by_task(self, outputs: Tensor) -> Iterator[tuple[str, Task, Tensor]]:
        """Yield each task with its name and its own outputs (n, k)."""
        for name, task in self.tasks.items():
            yield name, task, outputs[:, self.places[name][0]]

    def answers(self, outputs: Tensor) -> dict[str, list[Any]]:
        """Return the answers of each task; a column has the name of its task in front, unless they are equal."""
        return {
            column if column == name else f"{name}.{column}": values
            for name, task, own in self.outputs_by_task(outputs)
            for column, values in task.answers(own).items()
        }

    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Mean over the tasks for which a sample has a label."""
        total, count = outputs.new_zeros(len(outputs)), outputs.new_zeros(len(outputs))
        for name, task, own, labels in self.parts(outputs, y):
            seen = shown(labels)
            unit = None if scale is None else scale[self.places[name][0]]
            # A hidden class would be no index: another stands in its place, and its loss does not count.
            safe = labels if labels.is_floating_point() else labels.clamp(min=0)
            total = total + torch.where(seen, task.losses(own, safe, unit), 0.0)
            count = count + seen
        return total / count.clamp(min=1)

    @property
    def can_be_smoothed(self) -> bool:
        """Whether some task can."""
        return any(task.can_be_smoothed for task in self.tasks.values())

    def smoothed(self, share: float) -> "Task":
        """Return the same tasks with label smoothing in the losses of those whose labels are classes."""
        if not self.can_be_smoothed:
            return super().smoothed(share)
        return Several(
            {name: task.smoothed(share if task.can_be_smoothed else 0.0) for name, task in self.tasks.items()}
        )

    @property
    def has_units(self) -> bool:
        """Whether those of some task have."""
        return any(task.has_units for task in self.tasks.values())

    def units(self, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return those of the tasks that have units; 0 and 1 for the outputs of the others."""
        centre, scale = torch.zeros(self.outputs), torch.ones(self.outputs)
        for name, task in self.tasks.items():
            of_outputs, of_labels = self.places[name]
            if units := task.units(y[:, of_labels]):
                centre[of_outputs], scale[of_outputs] = units
        return centre, scale

    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean of the tasks' scores over those for which a sample has a label; nan without any.

        Scores with a unit are divided by its scale in this split, as those of several numbers are. Otherwise the task
        with the largest unit would decide.
        """
        scores = torch.full((len(outputs), len(self.tasks)), torch.nan, dtype=torch.double)
        for column, (_, task, own, labels) in enumerate(self.parts(outputs, y)):
            seen = shown(labels)
            if not bool(seen.any()):
                continue
            each = task.sample_scores(own[seen], labels[seen]).double()
            units = task.units(labels[seen]) if task.outputs == 1 else None
            scores[seen, column] = each / units[1] if units else each
        return scores.nanmean(1)

    def metrics(self) -> "SeveralMetrics":
        """Return the metrics of every task."""
        return SeveralMetrics(self)

    def to_labels(self, values: Tensor) -> Tensor:
        """Return float32 columns (n, columns)."""
        columns = max((of_labels.stop for _, of_labels in self.places.values()), default=0)
        if values.ndim != 2 or values.shape[1] != columns:
            raise ValueError(f"the labels of several tasks are (n, {columns}), not {tuple(values.shape)}")
        return values.float()

    def strata(self, y: Tensor) -> Tensor:
        """Stratify by the first task; samples that lack its label are a stratum of their own."""
        name, task = next(iter(self.tasks.items()))
        labels = _own(task, y[:, self.places[name][1]])
        seen = shown(labels)
        strata = torch.zeros(len(y), dtype=torch.long)
        strata[seen] = task.strata(labels[seen]).long() + 1
        return strata

    def describe(self) -> dict[str, Any]:
        """Describe every task for a record."""
        tasks = {name: task.describe() for name, task in self.tasks.items()}
        return super().describe() | {"tasks": tasks}


class SeveralMetrics(Metrics):
    """The metrics of every task on the samples that have its label.

    Args:
        several: the tasks.
    """

    def __init__(self, several: Several) -> None:
        self.several = several
        self.by_task = {name: task.metrics() for name, task in several.tasks.items()}
        self.judged: set[str] = set()
        self.n = 0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch of outputs (b, outputs) and labels (b, columns)."""
        for name, _, own, labels in self.several.parts(outputs.cpu(), y.cpu()):
            seen = shown(labels)
            if bool(seen.any()):
                self.by_task[name].update(own[seen], labels[seen])
                self.judged.add(name)
        self.n += len(y)

    def compute(self) -> dict[str, Any]:
        """Return the metrics by task, and the mean of the leading ones that are defined."""
        by_task = {
            name: self.by_task[name].compute() if name in self.judged else task.unmeasured()
            for name, task in self.several.tasks.items()
        }
        leading = torch.tensor([by_task[name][task.leading] for name, task in self.several.tasks.items()])
        return {"n": self.n, "mean": float(leading.nanmean()), "by_task": by_task}


def _own(task: Task, columns: Tensor) -> Tensor:
    """Return a task's own labels, from its columns (n, k): class indices (n,) for a task with classes."""
    if task.has_classes:
        return columns[:, 0].nan_to_num(nan=float(HIDDEN)).long()
    return columns
