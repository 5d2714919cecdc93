"""Entries at every depth, as one run reads them: samples are looked up, and the missing ones are computed."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from landbridge.activation_cache.forward import BATCH, Forward
from landbridge.activation_cache.found import scattered
from landbridge.activation_cache.prefix import decoded_key, entry_key
from landbridge.activation_cache.run_store import RunStore
from landbridge.activation_cache.store import Rows
from landbridge.data.activations import CachedActivations
from landbridge.data.inputs import Inputs
from landbridge.data.sources.union import JoinedInputs
from landbridge.data.streams import Stream
from landbridge.data.transfer import TransferData

log = logging.getLogger(__name__)


class Entries:
    """Finds and computes activations of samples.

    Args:
        store: keeps the rows.
        keys: the hash of the first stages, for each depth from 0 on.
        forward: runs stages.
        data: reads samples in batches.
    """

    def __init__(self, store: RunStore, keys: Sequence[str], forward: Forward, data: TransferData) -> None:
        self.store = store
        self.keys = keys
        self.forward = forward
        self.data = data
        self.format = data.streams.format
        self.root = store.store.root

    def find(self, depth: int, inputs: Inputs) -> CachedActivations | None:
        """Return cached activations of some samples, in their order; None if one is missing.

        Args:
            depth: number of stages; 0 stands for decoded images. None is returned for inputs that need no decoding.
            inputs: the samples.
        """
        if not depth and not inputs.must_be_decoded:
            return None
        hashes, parts = inputs.hashes(), []
        for kind, where in inputs.kinds().items():
            found = self.store.find(self._key(depth, kind), hashes.select(where))
            if len(found.missing):
                return None
            parts.append((found, where))
        return scattered(parts, depth)

    def missing(self, depth: int, inputs: Inputs) -> int:
        """Return how many different samples would be computed for `find`."""
        if not depth and not inputs.must_be_decoded:
            return 0
        hashes = inputs.hashes()
        found = [
            self.store.find(self._key(depth, kind), hashes.select(where)) for kind, where in inputs.kinds().items()
        ]
        return sum(len(each.missing) for each in found)

    def fill(self, depth: int, needed: Sequence[Inputs]) -> None:
        """Compute the activations that are missing of all samples together, each sample once.

        If there is no room for all of them, the inputs are tried one after the other. Those without room stay missing,
        and a warning is logged.
        """
        try:
            self._fill(depth, needed)
            return
        except OSError as error:
            problem = str(error)
        if len(needed) > 1:
            for each in needed:
                self.fill(depth, [each])
        else:
            log.warning("cache: %s has no room for the activations of %d stages: %s", self.root, depth, problem)

    def _fill(self, depth: int, needed: Sequence[Inputs]) -> None:
        for kind, inputs in _by_kind(needed).items():
            if depth or inputs.must_be_decoded:
                each = inputs.select(torch.from_numpy(inputs.hashes().firsts()))
                self.store.take(self._key(depth, kind), each.hashes(), partial(self._compute, depth, kind, each))

    def _key(self, depth: int, kind: str) -> str:
        if not depth:
            return decoded_key(kind, self.format)
        return entry_key(self.keys[depth], kind, self.format, self.forward.how)

    def _compute(self, depth: int, kind: str, inputs: Inputs, left: Tensor) -> Iterator[Rows]:
        """Compute the activations of some samples, each from its cached activation of the nearest smaller depth.

        Images in files that have no such activation are decoded first, and the decoded images are cached as well.

        Args:
            depth: number of stages; 0 stands for decoded images.
            kind: how the samples are read; see `Inputs.kinds`.
            inputs: samples of one kind.
            left: positions of the samples to compute (m,).
        """
        hashes = inputs.hashes()
        for shallower in range(depth - 1, 0, -1):
            found = self.store.store.find(self._key(shallower, kind), hashes.select(left))
            there = torch.from_numpy(found.of >= 0)
            if there.any():
                yield from self._run(depth, inputs.select(left[there]), found.select(there).activations(shallower))
                left = left[~there]
        if len(left):
            rest = inputs.select(left)
            if depth:
                self.fill(0, [rest])
            yield from self._run(depth, rest, self.find(0, rest) if depth else None)

    def _run(self, depth: int, inputs: Inputs, known: CachedActivations | None) -> Iterator[Rows]:
        loader = self.data.in_order("cache", Stream(inputs, self.format, activations=known), BATCH)
        hashes = inputs.hashes()
        for number, tensors in enumerate(self.forward.over(loader, depth)):
            yield hashes[number * BATCH : (number + 1) * BATCH], tensors


def _by_kind(needed: Sequence[Inputs]) -> dict[str, Inputs]:
    """Return all samples by their kind, so that those of several splits are computed in the same batches."""
    parts: dict[str, list[Inputs]] = {}
    for inputs in needed:
        for kind, where in inputs.kinds().items():
            parts.setdefault(kind, []).append(inputs if len(where) == len(inputs) else inputs.select(where))
    return {kind: each[0] if len(each) == 1 else JoinedInputs(each) for kind, each in parts.items()}
