"""Activations: outputs of the first stages of a backbone, which are read in place of the inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Activation:
    """The output of the first stages of a backbone for one batch.

    It is not frozen, because Lightning sets the fields of a copy when it trains in double precision.

    Attributes:
        depth: number of stages, counted from the input, that the batch has passed through.
        tensors: all tensors that the next stages need, each (b, ...).
    """

    depth: int
    tensors: tuple[Tensor, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.tensors[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Activation":
        """Move the tensors to a device; Lightning calls this."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Activation":
        """Pin the memory of the tensors; a DataLoader calls this."""
        return self._each(lambda tensor: tensor.pin_memory())

    def take(self, rows: Tensor) -> "Activation":
        """Return some of the samples, in the order of `rows` (n,)."""
        return self._each(lambda tensor: _gather(tensor, rows))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Activation":
        return Activation(self.depth, tuple(change(tensor) for tensor in self.tensors))


def joined(parts: Sequence[Activation]) -> Activation:
    """Join batches of the same depth, one after the other."""
    return Activation(parts[0].depth, tuple(map(torch.cat, zip(*(part.tensors for part in parts), strict=True))))


@dataclass(frozen=True)
class CachedActivations:
    """Cached activations of some samples.

    Attributes:
        depth: number of stages that the samples have passed through; at 0, the tensors are the decoded inputs.
        tensors: one row per sample of a larger set; most tensors are memory-mapped.
        rows: for each of the samples, its row in the tensors (n,).
    """

    depth: int
    tensors: Sequence[Tensor]
    rows: Tensor

    def read(self, indices: Tensor) -> Activation:
        """Read a batch, with one indexing operation per tensor.

        Args:
            indices: int64 positions (b,).

        Returns:
            the activation of the batch; at depth 0 it holds raw samples.
        """
        rows = self.rows[indices]
        return Activation(self.depth, tuple(_gather(tensor, rows) for tensor in self.tensors))


@dataclass(frozen=True)
class ScatteredActivations(CachedActivations):
    """Cached activations of some samples that lie in several sets of tensors.

    Attributes:
        depth: number of stages that the samples have passed through.
        tensors: those of the first set.
        rows: for each of the samples, its row in the tensors of its set (n,).
        sets: the tensors of each set.
        of: for each of the samples, the number of its set (n,).
    """

    sets: Sequence[Sequence[Tensor]]
    of: Tensor

    def read(self, indices: Tensor) -> Activation:
        """Read a batch; see `CachedActivations.read`."""
        of, rows = self.of[indices], self.rows[indices]
        present = of.unique().tolist()
        if len(present) == 1:
            return Activation(self.depth, tuple(_gather(each, rows) for each in self.sets[present[0]]))
        where = {number: torch.nonzero(of == number).squeeze(1) for number in present}
        parts = [[(here, _gather(each, rows[here])) for each in self.sets[number]] for number, here in where.items()]
        return Activation(self.depth, tuple(_scatter(each, len(rows)) for each in zip(*parts, strict=True)))


@dataclass(frozen=True)
class CachedViews:
    """Cached activations, by frozen stages, of random views of some samples.

    Attributes:
        of: the draws of each view, by the view's name. All views have the same number of draws.
    """

    of: Mapping[str, Sequence[CachedActivations]]

    @property
    def draws(self) -> int:
        """Number of draws of every view."""
        return len(next(iter(self.of.values())))

    def read(self, indices: Tensor, draw: Tensor) -> dict[str, Activation]:
        """Read a batch of every view. Each sample of the batch has its own draw.

        Args:
            indices: int64 positions of samples (b,).
            draw: for each sample, the number of the draw to read, from 0 to `draws` - 1 (b,).

        Returns:
            for each view, the activation of the batch, in the order of `indices`.

        Example:
            With `of = {"weak": [w0, w1], "strong": [s0, s1]}`, `indices = [5, 2]` and `draw = [1, 0]`, the batch of
            `weak` holds sample 5 of `w1` and then sample 2 of `w0`. The batch of `strong` holds sample 5 of `s1` and
            then sample 2 of `s0`.
        """
        where = [torch.nonzero(draw == number).squeeze(1) for number in range(self.draws)]
        back = torch.cat(where).argsort()
        parts = {
            name: [known.read(indices[here]) for known, here in zip(draws, where, strict=True)]
            for name, draws in self.of.items()
        }
        return {name: joined(each).take(back) for name, each in parts.items()}


def _gather(tensor: Tensor, rows: Tensor) -> Tensor:
    if tensor.is_contiguous():
        return tensor.index_select(0, rows)
    # Channels are last in memory. Indexing in the layout of the memory copies each row as one block.
    return tensor.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


def _scatter(parts: Sequence[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Put the rows of several tensors at their places in a batch.

    Args:
        parts: places (m,) and rows (m, ...); the places of all parts together are those from 0 to `size` - 1.
        size: number of rows of the batch.
    """
    first = parts[0][1]
    if first.is_contiguous():
        return _scattered(parts, first.new_empty(size, *first.shape[1:]))
    # Channels are last in memory, as in `_gather`.
    parts = [(where, rows.permute(0, 2, 3, 1)) for where, rows in parts]
    return _scattered(parts, first.new_empty(size, *parts[0][1].shape[1:])).permute(0, 3, 1, 2)


def _scattered(parts: Sequence[tuple[Tensor, Tensor]], batch: Tensor) -> Tensor:
    for where, rows in parts:
        batch.index_copy_(0, where, rows)
    return batch
