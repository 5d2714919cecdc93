"""Hashes of content as one array."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import overload

import numpy as np
from torch import Tensor

#: Bytes of a hash of content.
DIGEST = 16


class Digests(Sequence[str]):
    """One hash of content per sample, 16 bytes each. Read one by one, they are texts of hexadecimal digits.

    A list of such texts would take five times as much memory, and Python would look at each of them.

    Args:
        content: the hashes, uint8 (n, 16).
    """

    def __init__(self, content: np.ndarray) -> None:
        self.content = content

    @classmethod
    def of(cls, written: Sequence[str]) -> "Digests":
        """Take hashes that are written in hexadecimal digits."""
        return written if isinstance(written, cls) else cls.joined(bytes.fromhex("".join(written)))

    @classmethod
    def joined(cls, content: bytes) -> "Digests":
        """Take hashes that stand one after the other in one block."""
        return cls(np.frombuffer(content, np.uint8).reshape(-1, DIGEST))

    def __len__(self) -> int:
        return len(self.content)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Digests": ...

    def __getitem__(self, index: int | slice) -> "str | Digests":
        return Digests(self.content[index]) if isinstance(index, slice) else self.content[index].tobytes().hex()

    def __iter__(self) -> Iterator[str]:
        written = str(self)
        return (written[first : first + 2 * DIGEST] for first in range(0, len(written), 2 * DIGEST))

    def __str__(self) -> str:
        """Return all hashes in one text."""
        return self.content.tobytes().hex()

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def select(self, indices: Tensor) -> "Digests":
        """Return the hashes at the given positions (m,)."""
        return Digests(self.content[indices.numpy()])

    def items(self) -> np.ndarray:
        """Return each hash as one item of an array that can be compared and sorted (n,)."""
        return np.ascontiguousarray(self.content).view(f"S{DIGEST}").ravel()

    def keyed(self, key: bytes) -> "Digests":
        """Return a hash of each hash and a key of at most 64 bytes: another random order of contents for each key."""
        written = self.content.tobytes()
        parts = (written[first : first + DIGEST] for first in range(0, len(written), DIGEST))
        return Digests.joined(b"".join([blake2b(part, digest_size=DIGEST, key=key).digest() for part in parts]))

    def find(self, wanted: "Digests") -> np.ndarray | None:
        """Return a position here for each wanted hash (m,); None if one of them is not here."""
        if not len(self) or not len(wanted):
            return None if len(wanted) else np.empty(0, np.int64)
        own, others = self.items(), wanted.items()
        order = own.argsort(kind="stable")
        # Of several equal hashes, the last one is found.
        found = order[(np.searchsorted(own[order], others, side="right") - 1).clip(min=0)]
        return found if (own[found] == others).all() else None
