"""Many texts as one block of bytes."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from torch import Tensor

#: Bytes of a hash of content.
DIGEST = 16


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
        encoded = [text.encode() for text in texts]
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
        return self._content[self._starts[index] : self._ends[index]].decode()

    def select(self, indices: Tensor) -> "Texts":
        """Return the texts at the given positions (m,)."""
        where = indices.numpy()
        return Texts(self._content, self._starts[where], self._ends[where])

    def digests(self) -> np.ndarray:
        """Return a hash of each text's bytes, uint8 (n, 16)."""
        view = memoryview(self._content)
        places = zip(self._starts.tolist(), self._ends.tolist(), strict=True)
        hashed = b"".join([hashlib.blake2b(view[i:j], digest_size=DIGEST).digest() for i, j in places])
        return np.frombuffer(hashed, np.uint8).reshape(-1, DIGEST)
