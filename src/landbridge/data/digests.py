"""Hashes of content as one array."""

from collections.abc import Iterator, Sequence
from functools import cached_property
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

    @classmethod
    def numbered(cls, n: int) -> "Digests":
        """Return names for samples that are known by their position and not by their content: the numbers from 0 on."""
        content = np.zeros((n, DIGEST), np.uint8)
        content[:, 8:] = np.arange(n, dtype=">i8").view(np.uint8).reshape(n, 8)
        return cls(content)

    @classmethod
    def concatenated(cls, parts: Sequence["Digests"]) -> "Digests":
        """Join hashes, one after the other."""
        return parts[0] if len(parts) == 1 else cls(np.concatenate([part.content for part in parts]))

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

    def together(self) -> str:
        """Return one hash of all of them, the same in every order."""
        items = self.items()
        return blake2b(items[items.argsort()].tobytes(), digest_size=16).hexdigest()

    def firsts(self) -> np.ndarray:
        """Return the position at which each hash stands first, in order (m,), m <= n."""
        return np.sort(np.unique(self.items(), return_index=True)[1])

    def locate(self, wanted: "Digests") -> np.ndarray:
        """Return a position here for each wanted hash (m,), or -1 where a hash is not here."""
        if not len(self) or not len(wanted):
            return np.full(len(wanted), -1)
        order, own = self._sorted
        others = wanted.items()
        # Of several equal hashes, the last one is found.
        place = (np.searchsorted(own, others, side="right") - 1).clip(min=0)
        return np.where(own[place] == others, order[place], -1)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """The positions in the order of their hashes, and the hashes in this order, because a search needs both."""
        own = self.items()
        order = own.argsort(kind="stable")
        return order, own[order]
