"""Vectors of numbers."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from landbridge.data.formats.format import Format


@dataclass(frozen=True)
class VectorFormat(Format):
    """Vectors of numbers, as they are.

    Attributes:
        width: how many numbers a sample has.
    """

    kind: ClassVar = "vector"

    width: int

    def render(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the vectors (b, width) as they are."""
        return raw

    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return noise (n, width)."""
        return (torch.randn(n, self.width, generator=generator),)
