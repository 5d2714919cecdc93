"""Streams: the named sequences of batches that a strategy trains on, and the order of their samples."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from landbridge.data.activations import Activation, CachedActivations, CachedViews
from landbridge.data.formats import Format
from landbridge.data.inputs import Inputs
from landbridge.data.orders import Balanced, Order, Shuffled
from landbridge.errors import LandbridgeError
from landbridge.tasks import LabelBudget, shown

#: What each stream holds, for messages.
STREAMS = {
    "source": "labelled source samples",
    "target": "labelled target samples",
    "target_unlabelled": "target samples without labels",
}

#: `x`: an activation, or the activations of their random views by name. `index`: positions of the
#: samples. `y`: labels, for labelled streams only. `weights`: of the samples in the loss on labels, if they differ.
Batch = dict[str, Any]


def choose_streams(
    strategy: str, needs: frozenset[str], optional: frozenset[str], target_labels: LabelBudget, has_source: bool
) -> frozenset[str]:
    """Choose the streams that a run builds: those that its strategy needs, and those that it can use in addition.

    Args:
        strategy: name of the strategy, for the message.
        needs: streams that the strategy needs.
        optional: streams that the strategy uses if the setting provides them.
        target_labels: number of target labels that training may read: 0, a number per class, or `all`.
        has_source: whether a source domain is configured.

    Raises:
        LandbridgeError: the setting does not provide a stream that the strategy needs.
    """
    provided = {"target_unlabelled"} | ({"source"} if has_source else set()) | ({"target"} if target_labels else set())
    for name in sorted(needs - provided):
        mend = "set target_labels to a number per class or to all" if name == "target" else "set source=..."
        raise LandbridgeError(
            f"strategy {strategy} needs {STREAMS.get(name, name)}, but this setting "
            f"(target_labels={target_labels}{'' if has_source else ', no source'}) provides none: {mend}"
        )
    return needs | (optional & provided)


@dataclass(frozen=True)
class Stream:
    """The samples of one stream. A stream without labels gives no `y` to batches, workers and strategies.

    Attributes:
        inputs: the samples.
        format: input format of the backbone.
        labels: labels of the samples (n, ...), or None for an unlabelled stream.
        weights: weights of the samples in the loss on labels (n,), >= 0; None if all count alike.
        activations: cached activations of the samples by frozen stages, or the decoded samples; None if not cached.
        views: cached activations of random views of the samples, which are read in place of the samples; None if not
            cached.
    """

    inputs: Inputs
    format: Format
    labels: Tensor | None = None
    weights: Tensor | None = None
    activations: CachedActivations | None = None
    views: CachedViews | None = None

    @property
    def must_be_decoded(self) -> bool:
        """Whether samples must be decoded from files or tokenised, because they are not cached."""
        return not self.activations and not self.views and self.inputs.must_be_decoded

    def read(self, indices: Tensor) -> Batch:
        """Read one batch: `x` (b, ...), `index` (b,) and, for labelled streams, `y` (b, ...) and `weights` (b,).

        `x` is the cached activation if there is one, and the input otherwise. If views are cached, `x` holds the
        activation of each view by name. An index i + kn then selects draw k of sample i, where n is the number of
        samples.
        """
        x: Activation | dict[str, Activation]
        if self.views:
            size = len(self.inputs)
            draw, indices = indices // size, indices % size
            x = self.views.read(indices, draw)
        else:
            x = self._read(indices)
        batch = {"x": x, "index": indices}
        if self.labels is not None:
            batch["y"] = self.labels[indices]
        if self.weights is not None:
            batch["weights"] = self.weights[indices]
        return batch

    def _read(self, indices: Tensor) -> Activation:
        if self.activations is None:
            return Activation(0, self.inputs.read(indices, self.format))
        x = self.activations.read(indices)
        return Activation(x.depth, self.format.trimmed(x.tensors))


def labelled(inputs: Inputs, format: Format, labels: Tensor) -> Stream:
    """Make a stream of the samples whose labels are visible."""
    rows = torch.nonzero(shown(labels)).squeeze(1)
    if len(rows) == len(labels):
        return Stream(inputs, format, labels)
    return Stream(inputs.select(rows), format, labels[rows])


class JointBatches(Dataset[dict[str, Batch]]):
    """Several streams that are read together: one item holds one batch of each stream."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.streams = dict(streams)

    def __getitem__(self, indices: dict[str, Tensor]) -> dict[str, Batch]:
        return {name: self.streams[name].read(where) for name, where in indices.items()}


class StreamIndices(Sampler[dict[str, Tensor]]):
    """The order of training samples, which is a pure function of the seed and the step.

    Every stream is an endless sequence of passes over its samples, in a random order (`landbridge.data.orders`). The
    sequence is cut into batches. Step k of an interrupted run therefore reads the same samples as step k of an
    uninterrupted run. A short stream never ends before a long one, and no batch is partial. With several processes,
    each reads its own part of a global batch.

    Args:
        sizes: number of samples per stream.
        batch_size: samples per stream, step and process; a stream with fewer samples gives all its samples.
        steps: steps per epoch.
        seed: seed of the shuffling.
        rank: rank of this process.
        world: number of processes.
        epochs: number of epochs that read samples; batches of later epochs are empty. None: all epochs read samples.
        draws: for streams with cached views, the number of draws of each view. Each pass selects one draw for every
            sample.
        classes: the class of each sample (n,) of those streams in which every class comes equally often.
        next_epoch: returns the number of the epoch that an iteration reads. A loader with worker processes iterates
            when it is built, long before the first step. So the number is asked for, and not set from outside.
        other_batch_sizes: for some streams, another number of samples than `batch_size`.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        batch_size: int,
        steps: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        epochs: int | None = None,
        draws: Mapping[str, int] = MappingProxyType({}),
        classes: Mapping[str, Tensor] = MappingProxyType({}),
        next_epoch: Callable[[], int] = lambda: 0,
        other_batch_sizes: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.orders: dict[str, Order] = {
            name: Balanced(name, classes[name], seed, draws.get(name, 0))
            if name in classes
            else Shuffled(name, size, seed, draws.get(name, 0))
            for name, size in sizes.items()
        }
        self.sizes = dict(sizes)
        self.batch_sizes = dict.fromkeys(sizes, batch_size) | dict(other_batch_sizes)
        self.steps = steps
        self.rank = rank
        self.world = world
        self.epochs = epochs
        self.next_epoch = next_epoch
        self._passes: dict[str, tuple[int, Tensor]] = {}

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self.epoch(self.next_epoch())

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """Yield the indices of every step of an epoch, counted from 0."""
        if self.epochs is not None and number >= self.epochs:
            yield from repeat(dict.fromkeys(self.sizes, torch.arange(0)), self.steps)
            return
        for step in range(number * self.steps, (number + 1) * self.steps):
            yield {name: self._batch(name, size, step) for name, size in self.sizes.items()}

    def _batch(self, name: str, size: int, step: int) -> Tensor:
        batch = min(self.batch_sizes[name], size)
        first = (step * self.world + self.rank) * batch
        number, offset = divmod(first, self.orders[name].length)
        head = self._pass(name, number)[offset : offset + batch]
        if len(head) == batch:
            return head
        return torch.cat([head, self._pass(name, number + 1)[: batch - len(head)]])

    def _pass(self, name: str, number: int) -> Tensor:
        known = self._passes.get(name)
        if known is None or known[0] != number:
            known = self._passes[name] = (number, self.orders[name].passed(number))
        return known[1]


class OrderedBatches(Dataset[dict[str, Any]]):
    """A stream that is read once, from its first sample to its last, in whole batches, for evaluation.

    Args:
        name: name of the stream, such as `source` or `target`; it is in every batch.
        stream: the samples.
        batch_size: samples in a batch; the last batch may have fewer.
    """

    def __init__(self, name: str, stream: Stream, batch_size: int) -> None:
        self.name = name
        self.stream = stream
        self.batches = torch.arange(len(stream.inputs)).split(batch_size)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, batch: int) -> dict[str, Any]:
        return {"stream": self.name, **self.stream.read(self.batches[batch])}
