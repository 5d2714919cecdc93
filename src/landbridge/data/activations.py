"""Activations: what the first stages of a backbone have made of inputs, in the place of the inputs themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """A batch on its way through a backbone.

    Attributes:
        depth: how many stages, counted from the input, it has been through.
        tensors: all that the next stages need of them, each (b, ...).
    """

    depth: int
    tensors: tuple[Tensor, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.tensors[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Activation":
        """Move it to a device; Lightning asks for this."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Activation":
        """Pin its memory; a DataLoader asks for this."""
        return self._each(lambda tensor: tensor.pin_memory())

    def take(self, rows: Tensor) -> "Activation":
        """Return some of its samples, in the order of `rows` (n,)."""
        return self._each(lambda tensor: _gather(tensor, rows))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Activation":
        return Activation(self.depth, tuple(change(tensor) for tensor in self.tensors))


def joined(parts: Sequence[Activation]) -> Activation:
    """Put batches that have been through the same stages one after the other."""
    return Activation(parts[0].depth, tuple(map(torch.cat, zip(*(part.tensors for part in parts), strict=True))))


@dataclass(frozen=True)
class CachedActivations:
    """Known activations of some samples.

    Attributes:
        depth: how many stages they have been through; at 0 they are the inputs, decoded.
        tensors: one row a sample of some larger set, mostly memory-mapped.
        rows: which rows belong to the samples (n,).
    """

    depth: int
    tensors: Sequence[Tensor]
    rows: Tensor

    def read(self, indices: Tensor) -> Activation:
        """Read a batch: one indexing operation for each tensor.

        Args:
            indices: int64 positions (b,).
        """
        rows = self.rows[indices]
        return Activation(self.depth, tuple(_gather(tensor, rows) for tensor in self.tensors))


@dataclass(frozen=True)
class CachedViews:
    """What frozen stages make of random views of some samples.

    Attributes:
        of: by the name of a view, its draws, equally many of each.
    """

    of: Mapping[str, Sequence[CachedActivations]]

    @property
    def draws(self) -> int:
        """How many draws there are of every view."""
        return len(next(iter(self.of.values())))

    def read(self, indices: Tensor, draw: Tensor) -> dict[str, Activation]:
        """Read a batch of every view.

        Args:
            indices: int64 positions of samples (b,).
            draw: which one of each (b,).
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
    # Channels lie last. Gathered as they lie, rows are copied whole.
    return tensor.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
