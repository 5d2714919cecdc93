"""Orders of the samples of one stream: endless sequences that are pure functions of a seed."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

#: How labelled streams are read: every sample once a pass, or every class equally often.
Sampling = Literal["shuffled", "balanced"]


class Order(Protocol):
    """An endless sequence of positions, cut into passes of equal length."""

    @property
    def length(self) -> int:
        """The number of positions in a pass."""
        ...

    def passed(self, number: int) -> Tensor:
        """Return the positions of one pass (`length`,)."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """Every pass has each sample once, in a random order.

    Attributes:
        name: of the stream. It is part of the seed, so that an order does not depend on the other streams.
        size: number of samples.
        seed: of the shuffling.
        draws: number of draws of cached views; 0 without. A position i + kn selects draw k of sample i of n.
    """

    name: str
    size: int
    seed: int
    draws: int = 0

    @property
    def length(self) -> int:
        """The number of samples."""
        return self.size

    def passed(self, number: int) -> Tensor:
        """Return a random order of all samples (size,)."""
        generator = np.random.default_rng([self.seed, number, *self.name.encode()])
        order = generator.permutation(self.size)
        if self.draws:
            order = order + self.size * generator.integers(self.draws, size=self.size)
        return torch.from_numpy(order)


@dataclass(frozen=True)
class Balanced:
    """Every class comes equally often. The order consists of rounds, and a round has one sample of every class.

    Each class has its own endless sequence of shuffled passes. So every sample of a class comes once before any of them
    comes twice, and samples of a rare class come more often than others. Classes without samples have no place.

    Attributes:
        name: of the stream; see `Shuffled`.
        classes: class index of each sample (n,), none of them hidden.
        seed: of the shuffling.
        draws: number of draws of cached views; see `Shuffled`.
    """

    name: str
    classes: Tensor
    seed: int
    draws: int = 0

    @property
    def members(self) -> list[np.ndarray]:
        """The positions of the samples of every class that has samples."""
        return [torch.nonzero(self.classes == index).flatten().numpy() for index in self.classes.unique()]

    @property
    def length(self) -> int:
        """The rounds of a pass times the number of classes that have samples. A pass is about as long as the stream."""
        classes = len(self.classes.unique())
        return classes * -(-len(self.classes) // classes)

    def passed(self, number: int) -> Tensor:
        """Return the positions of the rounds of a pass (`length`,)."""
        members = self.members
        rounds = self.length // len(members)
        # Column c holds the samples of class c. Each row is a round, whose classes are put in a random order.
        columns = [self._of_class(c, each, number * rounds, rounds) for c, each in enumerate(members)]
        generator = np.random.default_rng([self.seed, number, *self.name.encode(), *b" rounds"])
        return torch.from_numpy(generator.permuted(np.stack(columns, axis=1), axis=1).reshape(-1))

    def _of_class(self, index: int, members: np.ndarray, first: int, count: int) -> np.ndarray:
        """Return some samples (count,) of the endless sequence of one class, from place `first` on."""
        size = len(members)
        passes = range(first // size, (first + count - 1) // size + 1)
        parts = []
        for number in passes:
            generator = np.random.default_rng([self.seed, number, *self.name.encode(), *b" class ", index])
            order = members[generator.permutation(size)]
            if self.draws:
                order = order + len(self.classes) * generator.integers(self.draws, size=size)
            parts.append(order)
        skipped = first - passes.start * size
        return np.concatenate(parts)[skipped : skipped + count]
