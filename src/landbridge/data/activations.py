"""Activations: what the first stages of a backbone have made of inputs, in the place of the inputs themselves."""

from collections.abc import Callable, Sequence
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

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Activation":
        return Activation(self.depth, tuple(change(tensor) for tensor in self.tensors))


@dataclass(frozen=True)
class Activations:
    """Known activations of some samples.

    Attributes:
        depth: how many stages they have been through; at 0 they are the inputs, decoded.
        tensors: one row a sample of some larger set, mostly memory-mapped.
        rows: which rows belong to the samples (n,).
    """

    depth: int
    tensors: Sequence[Tensor]
    rows: Tensor

    def read(self, indices: Tensor) -> Tensor | Activation:
        """Read a batch: one indexing operation a tensor.

        Args:
            indices: int64 positions (b,).
        """
        rows = self.rows[indices]
        tensors = tuple(_gather(tensor, rows) for tensor in self.tensors)
        return Activation(self.depth, tensors) if self.depth else tensors[0]


def _gather(tensor: Tensor, rows: Tensor) -> Tensor:
    if tensor.is_contiguous():
        return tensor.index_select(0, rows)
    # Channels lie last. Gathered as they lie, rows are copied whole.
    return tensor.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
