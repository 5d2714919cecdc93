"""Many texts as one block of bytes."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from torch import Tensor

from landbridge.data.digests import DIGEST, Digests


class Texts(Sequence[str]):
    """Texts in UTF-8, one after the other in one block of bytes.

    A million Python strings take about 50 bytes each beside their characters, and a worker process that only counts
    references to them copies their pages. Here a text takes 16 bytes beside its characters. A selection refers to the
    same block.

    Args:
        content: the block.
        starts: where each text starts (n,), int64.
        ends: where each text ends (n,), int64.
    """

    def __init__(self, content: bytes, starts: np.ndarray, ends: np.ndarray) -> None:
        self._content = content
        self._starts = starts
        self._ends = ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Copy texts into one block."""
        # Names of files may hold bytes that are not UTF-8. Python reads them as lone surrogates.
        encoded = [text.encode(errors="surrogateescape") for text in texts]
        return cls.joined(b"".join(encoded), np.fromiter(map(len, encoded), np.int64, len(encoded)))

    @classmethod
    def joined(cls, content: bytes, sizes: np.ndarray) -> "Texts":
        """Take a block and the number of bytes of each text (n,)."""
        ends = np.cumsum(sizes, dtype=np.int64)
        return cls(content, ends - sizes, ends)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Texts": ...

    def __getitem__(self, index: int | slice) -> "str | Texts":
        if isinstance(index, slice):
            return Texts(self._content, self._starts[index], self._ends[index])
        return self._content[self._starts[index] : self._ends[index]].decode(errors="surrogateescape")

    def select(self, indices: Tensor) -> "Texts":
        """Return the texts at the given positions (m,)."""
        return self.at(indices.numpy())

    def at(self, rows: np.ndarray) -> "Texts":
        """Return the texts in some rows: a mask (n,) or positions (m,)."""
        return Texts(self._content, self._starts[rows], self._ends[rows])

    def equal(self, other: "Texts") -> bool:
        """Return whether both hold the same texts in the same order."""
        (content, sizes), (their_content, their_sizes) = self.block(), other.block()
        return np.array_equal(sizes, their_sizes) and content == their_content

    def block(self) -> tuple[bytes, np.ndarray]:
        """Return a block of bytes that holds exactly these texts, one after the other, and the size of each (n,)."""
        sizes = self._ends - self._starts
        starts, ends = self._starts, self._ends
        if len(sizes) and starts[0] == 0 and ends[-1] == len(self._content) and (starts[1:] == ends[:-1]).all():
            return self._content, sizes
        places = zip(self._starts.tolist(), self._ends.tolist(), strict=True)
        return b"".join([self._content[i:j] for i, j in places]), sizes

    def digests(self) -> Digests:
        """Return a hash of each text's bytes."""
        view = memoryview(self._content)
        places = zip(self._starts.tolist(), self._ends.tolist(), strict=True)
        return Digests.joined(b"".join([hashlib.blake2b(view[i:j], digest_size=DIGEST).digest() for i, j in places]))
