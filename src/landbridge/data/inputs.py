"""Raw samples that are read in whole batches, and the input format of a backbone."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landbridge.data.digests import DIGEST, Digests
from landbridge.data.formats import Format


class Inputs(ABC):
    """Raw samples without labels, read a batch at a time."""

    #: What samples are: `image`, `vector` or `text`.
    kind: str
    #: (c, h, w) for images, with h = w = 0 if sizes differ between samples; (d,) for vectors; () for text.
    shape: tuple[int, ...]

    @property
    def reading(self) -> str:
        """How samples are read, in addition to their content: empty, unless a setting of the domain changes it."""
        return ""

    def kinds(self) -> dict[str, Tensor]:
        """Return what determines how samples are read besides their content, and the positions of these samples.

        Two samples with the same kind and the same hash are read as the same tensors, whatever inputs they are in.
        """
        return {f"{type(self).__name__} {self.shape} {self.reading}": torch.arange(len(self))}

    @property
    def must_be_decoded(self) -> bool:
        """Whether reading takes time: images are decoded from files, texts are tokenised."""
        return 0 in self.shape or self.kind == "text"

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def read(self, indices: Tensor, format: Format | None) -> tuple[Tensor, ...]:
        """Read a batch.

        Args:
            indices: int64 positions (b,).
            format: input format of the backbone; files are decoded to its size. None reads samples in memory as they
                are.

        Returns:
            raw tensors, each (b, ...): uint8 images (b, c, h, w), float32 vectors (b, d), or token ids and mask.
        """

    @abstractmethod
    def select(self, indices: Tensor) -> "Inputs":
        """Return the samples at the given positions as a new object."""

    @abstractmethod
    def hashes(self) -> Digests:
        """Return one hash of content per sample."""

    def ids(self) -> list[str]:
        """Return what a person finds each sample by: the path of its file, or its row. By default, its hash."""
        return list(self.hashes())

    def describe(self) -> dict[str, Any]:
        """Describe the samples for a record, so that a model of the run can tell which inputs it takes."""
        return {"kind": self.kind, "shape": list(self.shape)}


class TensorInputs(Inputs):
    """Samples in memory, as one tensor.

    Args:
        tensor: uint8 images (n, c, h, w) or float32 vectors (n, d).
        hashes: hashes of the samples' contents, if they are already known.
        rows: the row of each sample in the data, as a person counts it (n,); None: from 0 on.
        columns: names of the numbers of a vector (d,), if they have names.
    """

    def __init__(
        self,
        tensor: Tensor,
        hashes: Digests | None = None,
        rows: np.ndarray | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        if tensor.dtype not in (torch.uint8, torch.float32):
            raise TypeError(f"samples must be uint8 images or float32 vectors, not {tensor.dtype}")
        self.tensor = tensor.contiguous()
        self.shape = tuple(tensor.shape[1:])
        self.kind = "image" if tensor.ndim == 4 else "vector"
        self.rows = np.arange(len(tensor)) if rows is None else rows
        self.columns = tuple(columns)
        self._hashes = hashes

    def __len__(self) -> int:
        return len(self.tensor)

    def read(self, indices: Tensor, format: Format | None) -> tuple[Tensor, ...]:
        """Return the samples at the given positions unchanged."""
        return (self.tensor[indices],)

    def select(self, indices: Tensor) -> "TensorInputs":
        """Return a copy of the samples at the given positions, with their hashes if these are known."""
        hashes = None if self._hashes is None else self._hashes.select(indices)
        return TensorInputs(self.tensor[indices], hashes, self.rows[indices.numpy()], self.columns)

    def hashes(self) -> Digests:
        """Return a hash of each sample's bytes."""
        if self._hashes is None:
            rows = self.tensor.numpy()
            self._hashes = Digests.joined(
                b"".join([hashlib.blake2b(row.tobytes(), digest_size=DIGEST).digest() for row in rows])
            )
        return self._hashes

    def ids(self) -> list[str]:
        """Return the row of each sample."""
        return [str(row) for row in self.rows.tolist()]

    def describe(self) -> dict[str, Any]:
        """Describe the samples, with the names of the numbers of a vector."""
        return super().describe() | ({"columns": list(self.columns)} if self.columns else {})
