"""Activations at the freezing boundary, and decoded images: computed once for all runs, epochs and processes."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Gt
from pytorch_lightning import Trainer
from torch import Tensor

from landbridge.activation_cache.draw import BATCH, Draw, draw_views
from landbridge.activation_cache.forward import Forward
from landbridge.activation_cache.off import Cache
from landbridge.activation_cache.prefix import decoded_key, entry_key, prefix_keys, stands_still
from landbridge.activation_cache.store import Entry, Store
from landbridge.data.activations import CachedActivations
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.stage_graph import CannotCut
from landbridge.strategies.base import Strategy
from landbridge.strategies.self_training.two_views import TwoViews

log = logging.getLogger(__name__)

# Precisions in which weights are what they are; the others convert them when training starts.
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")

Make = Callable[[], Iterator[tuple[Tensor, ...]]]


class ActivationCache(Cache):
    """What the stages that freeze throughout make of every sample, kept on disk and mapped into memory.

    Photographs are kept decoded besides. Results are the same with and without, but for `views`.

    Args:
        path: folder in which entries are kept; several runs and processes may share it.
        size: gigabytes that all entries together may have. Those used least recently go first.
        views: how often each random view of a training sample is drawn, for strategies that augment images; each draw
            is an entry of its own, and each pass over a stream chooses one for every sample, by seed and pass. None
            draws anew in every step and runs all stages on it: results differ, and so does the run's fingerprint.

    Raises:
        LandbridgeError: there is no place for the views that are asked for.
    """

    def __init__(
        self,
        path: str = "~/.cache/landbridge/activations",
        size: Annotated[float, Gt(0)] = 20.0,
        views: Annotated[int, Gt(0)] | None = None,
    ) -> None:
        self.store = Store(Path(path).expanduser(), size * 1e9)
        self.views = views
        self.depth = 0
        self.counts = {"found": 0, "computed": 0, "bytes": 0}
        self.seconds = 0.0
        self._entries: dict[tuple[int, int], Entry | None] = {}
        self._in_use: list[Entry] = []

    def attach(
        self,
        strategy: Strategy,
        data: TransferData,
        splits: Sequence[Inputs],
        trainer: Trainer,
        backbone: Mapping[str, Any],
    ) -> TransferStreams:
        """Return streams that read activations in the place of inputs, as far as the first stages are always frozen."""
        self.data, self.trainer, self.config = data, trainer, backbone
        self.backbone = strategy.network.backbone
        streams = data.streams
        self.forward = Forward(self.backbone, streams.format, trainer)
        self.splits = [(split, {each: row for row, each in enumerate(split.hashes())}) for split in splits]
        self.depth = self._depth(strategy)
        self.keys = prefix_keys(self.backbone, self.config, self.depth)
        if not strategy.requirements.trains:
            return replace(streams, cached=self._cached_at_boundary)
        reads = data.steps_per_epoch * data.batch_size * data.processes * (trainer.max_epochs or 1)
        depth = 0 if strategy.requirements.reads_inputs else self.depth
        streams = replace(
            streams,
            training={
                name: replace(stream, activations=self._cached(depth, stream.inputs, reads))
                for name, stream in streams.training.items()
            },
            validation={
                role: replace(stream, activations=self._cached_at_boundary(stream.inputs))
                for role, stream in streams.validation.items()
            },
            cached=self._cached_at_boundary,
        )
        if not self.views or not isinstance(strategy, TwoViews):
            return streams
        if not self.depth:
            log.warning("cache.views: no stage is frozen throughout, so views are drawn in every step")
            return streams
        return replace(streams, cached_views=draw_views(strategy, streams, self.views, self._drawn))

    def require_unchanged(self) -> None:
        """Refuse to answer for stages that training or testing has changed.

        Raises:
            LandbridgeError: they have changed, though they were frozen.
        """
        if prefix_keys(self.backbone, self.config, self.depth) != self.keys:
            raise LandbridgeError("cache: stages that were frozen have changed: run it with cache=off")

    def report(self) -> dict[str, Any]:
        """Return how many entries were found and computed, the bytes in all of them, and the seconds it took."""
        return {"cache": {"depth": self.depth, **self.counts, "seconds": round(self.seconds, 3)}}

    def _depth(self, strategy: Strategy) -> int:
        """Return how many stages need not be run."""
        stages = self.backbone.stages
        depth = strategy.trainable.frozen_depth
        if self.trainer.precision not in PRECISIONS or not stands_still(strategy, depth):
            return 0
        if 0 < depth < len(stages):
            try:
                self.forward.try_cut(depth)
            except CannotCut as error:
                log.warning("cache: the frozen stages of this backbone are run anew in every epoch: %s", error)
                return 0
        return depth

    # Looking up ------------------------------------------------------------------------------------------------------

    def _cached_at_boundary(self, inputs: Inputs) -> CachedActivations | None:
        return self._cached(self.depth, inputs)

    def _cached(self, depth: int, inputs: Inputs, reads: float = math.inf) -> CachedActivations | None:
        """Return what is known of some samples of a split, in whatever order they are.

        A whole split that is not known yet is computed, but not for the sake of fewer `reads` than it has samples.
        """
        hashes = inputs.hashes()
        for number, (_, row_of) in enumerate(self.splits):
            if all(each in row_of for each in hashes):
                rows = torch.tensor([row_of[each] for each in hashes])
                entry = self._entry(number, depth, reads)
                return entry and CachedActivations(depth, entry.tensors, rows)
        return None

    def _entry(self, number: int, depth: int, reads: float = math.inf) -> Entry | None:
        """Return the entry of a whole split; None where it is not there, and not worth computing or too large."""
        if (number, depth) not in self._entries:
            began = time.perf_counter()
            self._entries[number, depth] = self._fetch(number, depth, reads)
            self.seconds += time.perf_counter() - began
        return self._entries[number, depth]

    def _fetch(self, number: int, depth: int, reads: float) -> Entry | None:
        inputs, _ = self.splits[number]
        in_files = 0 in inputs.shape
        if not depth and not in_files:
            return None
        key, rows = self._key(inputs, depth), len(inputs)
        entry = self.store.find(key, rows)
        if entry is None and reads < rows:
            return None
        try:
            return self._take(key, rows, entry, partial(self._compute, number, depth))
        except OSError as error:
            log.warning("cache: %s has no place for what %d stages compute: %s", self.store.root, depth, error)
            return None

    def _take(self, key: str, rows: int, found: Entry | None, make: Make) -> Entry:
        self.counts["computed" if found is None else "found"] += 1
        entry = found or self.store.fetch(key, rows, make)
        self.counts["bytes"] += entry.bytes
        return entry

    def _key(self, inputs: Inputs, depth: int) -> str:
        format = self.data.streams.format
        if not depth:
            return decoded_key(inputs, format)
        return entry_key(self.keys[depth], inputs, format, self.forward.how)

    def _drawn(self, stream: Stream, draw: Draw) -> CachedActivations:
        """Return what is known of one draw of a view at the boundary; it is computed if need be.

        Raises:
            LandbridgeError: there is no place for it, and without it results would be others.
        """
        began = time.perf_counter()
        inputs, rows = stream.inputs, len(stream.inputs)
        key = partial(draw.key, inputs=inputs, format=self.data.streams.format, how=self.forward.how)

        def compute() -> Iterator[tuple[Tensor, ...]]:
            known = self._nearest(lambda depth: key(self.keys[depth]), rows, self.depth)
            loader = self.data.in_order("cache", replace(stream, activations=known or stream.activations), BATCH)
            return self.forward.over(loader, self.depth, draw.augmenting(inputs, self.forward.device))

        place = key(self.keys[self.depth])
        try:
            entry = self._take(place, rows, self.store.find(place, rows), compute)
        except OSError as error:
            raise LandbridgeError(f"cache.views={self.views}: no place in {self.store.root}: {error}") from error
        self._in_use.append(entry)
        self.seconds += time.perf_counter() - began
        return CachedActivations(self.depth, entry.tensors, torch.arange(rows))

    # Computing -------------------------------------------------------------------------------------------------------

    def _compute(self, number: int, depth: int) -> Iterator[tuple[Tensor, ...]]:
        """Return the activations of a whole split, batch by batch; of files, those of the decoded images."""
        inputs, _ = self.splits[number]
        known = self._nearest(partial(self._key, inputs), len(inputs), depth)
        if known is None and depth and (decoded := self._entry(number, 0)):
            known = CachedActivations(0, decoded.tensors, torch.arange(len(inputs)))
        return self.forward.over(
            self.data.in_order("cache", Stream(inputs, self.data.streams.format, activations=known)), depth
        )

    def _nearest(self, key: Callable[[int], str], rows: int, depth: int) -> CachedActivations | None:
        """Return what is known of samples at the nearest boundary before some depth.

        Args:
            key: of the samples at a depth.
            rows: how many there are.
            depth: of the boundary that is to be computed.
        """
        for shallower in range(depth - 1, 0, -1):
            if entry := self.store.find(key(shallower), rows):
                return CachedActivations(shallower, entry.tensors, torch.arange(rows))
        return None
