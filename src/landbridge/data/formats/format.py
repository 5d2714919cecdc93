"""What a backbone wants as its input."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


class Format(ABC):
    """An input of a backbone is a tuple of tensors, each with one row a sample.

    Raw tensors are what inputs read: decoded or tokenised, and as small as possible. `render` turns them into what the
    first stage takes, on the device that trains.
    """

    #: What samples are: `image`, `vector` or `text`.
    kind: ClassVar[str]

    @abstractmethod
    def render(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the tensors that the first stage takes, each (b, ...), on the device of the raw ones."""

    @abstractmethod
    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return rendered random inputs of n samples, to try a backbone with."""

    def evened(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return raw tensors or activations (b, ...) with rows of the same shape in every batch, to store them."""
        return tensors

    def trimmed(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return a batch that `evened` has changed as it was before, as far as the result of a backbone goes."""
        return tensors
