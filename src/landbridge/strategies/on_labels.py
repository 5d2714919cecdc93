"""The part of a strategy that knows labels: the loss on visible labels, in the units of the data."""

import operator
from abc import ABC
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from landbridge.models.network import Network, Units
from landbridge.tasks import Classification, Task
from landbridge.training.output import Output
from landbridge.training.trainable import Trainable


class OnLabels(Trainable, ABC):
    """Something that trains on labels of one task, or of one task for each of two domains.

    Args:
        network: backbone and head.
        task: task of the target.
        source_task: task of the source, if the source has a head of its own; None: that of the target.
        **trainable: see `Trainable`.
    """

    def __init__(
        self, network: Network, task: Task | None = None, source_task: Task | None = None, **trainable: Any
    ) -> None:
        super().__init__(network=network, **trainable)
        self.task = task or Classification(tuple(map(str, range(network.outputs))))
        self.source_task = source_task or self.task

    def supervised(self, *labelled: Output | None) -> Tensor:
        """Return the sum of the task's mean losses of labelled streams. Streams that are None are left out.

        Samples count with the weights of `task.class_weights`. A mixed image has the labels of two samples, and the
        loss is the mean of both losses, weighted by their shares. All losses on labels come from here, also those of a
        second head: `self.supervised(replace(stream, logits=...))`.
        """
        return reduce(operator.add, (self._mean_loss(stream) for stream in labelled if stream))

    def _mean_loss(self, labelled: Output) -> Tensor:
        task, units = self.task, self.network.units
        if self.network.source is not None and labelled.stream == "source":
            task, units = self.source_task, self.network.source.units
        scale = units.scale if units else None
        if labelled.mixed_labels is None:
            return task.loss(labelled.logits, labelled.y, scale, labelled.weights)
        both = (task.loss(labelled.logits, y, scale, weights) for y, weights in labelled.mixed_labels)
        return reduce(operator.add, both)

    def on_train_start(self) -> None:
        """Give the network the units of the labels that training may see, unless its weights came with units."""
        super().on_train_start()
        source = self.network.source
        if not (self.task.has_units or self.source_task.has_units):
            return
        seen = {name: each.labels for name, each in self.data.streams.training.items() if each.labels is not None}
        if source is not None and "source" in seen:
            _set_units(source.units, self.source_task, [seen.pop("source")])
        _set_units(self.network.units, self.task, list(seen.values()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the names of the outputs into the checkpoint, so that no other classes take over its head."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["classes"] = list(self.task.names)


def _set_units(units: Units | None, task: Task, labels: list[Tensor]) -> None:
    if units is not None and not bool(units.are_set) and labels and (found := task.units(torch.cat(labels))):
        units.set(*found)
