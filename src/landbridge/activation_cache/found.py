"""Segments of an entry that are open, and where the rows of some samples are in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landbridge.activation_cache.lock import Lock
from landbridge.data.activations import CachedActivations, ScatteredActivations
from landbridge.data.digests import Digests

#: Number of rows that are copied at a time.
BATCH = 64


@dataclass(frozen=True)
class Segment:
    """A segment in use. No process removes it as long as this object exists.

    Attributes:
        folder: its folder.
        samples: the hash of each row.
        tensors: tensors (rows, ...), memory-mapped.
    """

    folder: Path
    samples: Digests
    tensors: list[Tensor]
    lock: Lock = field(repr=False)

    @property
    def bytes(self) -> int:
        """Size of the tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return self.bytes // len(self.samples)

    def batches(self, rows: Tensor) -> Iterator[tuple[Digests, Sequence[Tensor]]]:
        """Read some rows (n,) in batches: the hashes, and the tensors (b, ...)."""
        known = CachedActivations(0, self.tensors, rows)
        for where in torch.arange(len(rows)).split(BATCH):
            yield self.samples.select(rows[where]), known.read(where).tensors


@dataclass(frozen=True)
class Found:
    """The rows of some samples.

    Attributes:
        segments: the segments that hold rows of the samples.
        of: for each sample, the number of its segment (n,), or -1 if its row is missing.
        rows: for each sample, its row in its segment (n,), or -1.
        missing: positions of the missing samples, in order and each content once (m,).
    """

    segments: Sequence[Segment]
    of: np.ndarray
    rows: np.ndarray
    missing: Tensor

    @classmethod
    def among(cls, segments: Sequence[Segment], wanted: Digests) -> "Found":
        """Look for samples in segments. Of several segments with the same sample, the first is taken."""
        of, rows = np.full(len(wanted), -1), np.full(len(wanted), -1)
        used: list[Segment] = []
        for segment in segments:
            left = np.flatnonzero(of < 0)
            there = segment.samples.locate(Digests(wanted.content[left]))
            here = left[there >= 0]
            if len(here):
                of[here], rows[here] = len(used), there[there >= 0]
                used.append(segment)
        lacking = np.flatnonzero(of < 0)
        missing = lacking[Digests(wanted.content[lacking]).firsts()]
        return cls(used, of, rows, torch.from_numpy(missing))

    def select(self, which: Tensor) -> "Found":
        """Return the rows of some of the samples (n,), none of which is missing."""
        return Found(self.segments, self.of[which.numpy()], self.rows[which.numpy()], torch.empty(0, dtype=torch.long))

    def activations(self, depth: int) -> CachedActivations | None:
        """Return the rows as activations of so many stages; None if some are missing."""
        return None if len(self.missing) else scattered([(self, torch.arange(len(self.rows)))], depth)


def scattered(parts: Sequence[tuple[Found, Tensor]], depth: int) -> CachedActivations:
    """Return the rows of samples of several entries as one.

    Args:
        parts: the rows of each entry, none of them missing, and the positions of their samples among all (m,).
        depth: number of stages that the samples have passed through.
    """
    sets = [segment.tensors for found, _ in parts for segment in found.segments]
    firsts = np.cumsum([0, *(len(found.segments) for found, _ in parts)])
    back = torch.cat([where for _, where in parts]).argsort()
    rows = torch.from_numpy(np.concatenate([found.rows for found, _ in parts]))[back]
    if len(sets) == 1:
        return CachedActivations(depth, sets[0], rows)
    of = np.concatenate([found.of + first for (found, _), first in zip(parts, firsts[:-1], strict=True)])
    return ScatteredActivations(depth, sets[0], rows, sets, torch.from_numpy(of)[back])
