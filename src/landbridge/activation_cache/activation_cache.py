"""The cache of activations and decoded images, which are computed once for all runs, epochs and processes.

The activations are the outputs of the last stage that is frozen throughout the run.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Gt
from pytorch_lightning import Trainer
from torch import Tensor

from landbridge.activation_cache.counted_store import CountedStore
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

log = logging.getLogger(__name__)

# Precisions that keep the weights in float32. The others convert the weights when training starts.
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")


class ActivationCache(Cache):
    """Keeps the activations of the stages that are frozen throughout, on disk and mapped into memory.

    Images that are read from files are also kept decoded, and texts tokenised. Unless `views` is set, results are the
    same as without the cache.

    Args:
        path: folder in which entries are kept; several runs and processes may share it.
        size: maximum size of all entries together, in gigabytes. The least recently used entries are removed first.
        views: number of draws of each random view of a training sample, if images are augmented. Each draw
            is an entry of its own. In each pass over a stream, seed and pass number choose one draw for every sample.
            With None, views are drawn anew in every step, and all stages run on them. Therefore a number gives other
            results than None, and the run has another fingerprint.

    Raises:
        LandbridgeError: the disk or the limit `size` has no room for the views.
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
        self.counted = CountedStore(self.store)
        self.seconds = 0.0
        self._timing = False
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
        """Return streams that read cached activations of the stages that are frozen throughout, instead of inputs."""
        self.data, self.trainer, self.config = data, trainer, backbone
        self.backbone = strategy.network.backbone
        streams = data.streams
        self.forward = Forward(self.backbone, streams.format, trainer)
        self.splits = splits
        self.depth = self._depth(strategy)
        self.keys = prefix_keys(self.backbone, self.config, self.depth)
        if not strategy.requirements.trains:
            return replace(streams, cached=self._cached_at_boundary)
        reads = data.steps_per_epoch * data.batch_size * data.processes * (trainer.max_epochs or 1)
        streams = replace(
            streams,
            training={
                name: replace(stream, activations=self._cached(self._read_at(name, strategy), stream.inputs, reads))
                for name, stream in streams.training.items()
            },
            validation={
                role: replace(stream, activations=self._cached_at_boundary(stream.inputs))
                for role, stream in streams.validation.items()
            },
            cached=self._cached_at_boundary,
        )
        views = strategy.views_to_draw(streams)
        if not self.views or not views:
            return streams
        if not self.depth:
            log.warning("cache.views has no effect: no stage is frozen throughout, so views are drawn in every step")
            return streams
        if streams.augment and streams.augment.mixes:
            raise LandbridgeError(
                f"cache.views={self.views} draws the views before training, and mixup and CutMix mix the images of a "
                "batch: set cache.views=null, or augment.mixup=0 augment.cutmix=0"
            )
        return replace(streams, cached_views=draw_views(views, streams, self.views, self._drawn))

    def require_unchanged(self) -> None:
        """Check that the cached stages still have the weights that they had when the cache was attached.

        Raises:
            LandbridgeError: training or testing has changed a stage that was frozen.
        """
        if prefix_keys(self.backbone, self.config, self.depth) != self.keys:
            raise LandbridgeError("cache: stages that were frozen have changed; run again with cache=off")

    def report(self) -> dict[str, Any]:
        """Return how many entries were found and computed, their size in bytes, and the seconds that this took."""
        return {"cache": {"depth": self.depth, **self.counted.counts, "seconds": round(self.seconds, 3)}}

    def _read_at(self, stream: str, strategy: Strategy) -> int:
        """Return the number of stages after which training reads a stream: none if it augments the images."""
        augments = self.data.streams.augment is not None and stream in self.data.streams.labelled
        return 0 if augments or strategy.requirements.reads_inputs else self.depth

    def _depth(self, strategy: Strategy) -> int:
        """Return how many stages, from the first on, can be replaced by cached activations."""
        stages = self.backbone.stages
        depth = strategy.trainable.frozen_depth
        if self.trainer.precision not in PRECISIONS or not stands_still(strategy, depth):
            return 0
        if 0 < depth < len(stages):
            try:
                self.forward.try_cut(depth)
            except CannotCut as error:
                log.warning("cache: the frozen stages of this backbone run again in every epoch: %s", error)
                return 0
        return depth

    # Looking up ------------------------------------------------------------------------------------------------------

    def _cached_at_boundary(self, inputs: Inputs) -> CachedActivations | None:
        return self._cached(self.depth, inputs)

    def _cached(self, depth: int, inputs: Inputs, reads: float = math.inf) -> CachedActivations | None:
        """Return cached activations of some samples, which may be in any order.

        The samples must belong to one split. An entry always holds the whole split. If there is no entry, it is
        computed. If `reads` is smaller than the number of samples in the split, it is not computed, to save time.

        Example:
            A split has 1000 samples. A run that reads 640 samples in all (10 steps of 64) uses an entry on the disk but
            does not compute a new one. A run that reads 6400 samples computes the entry and reads it.

        Args:
            depth: number of stages; 0 stands for decoded images.
            inputs: the samples.
            reads: how many samples the run will read in all.

        Returns:
            The activations, one row a sample of `inputs`. None if the samples belong to no split, or there is no entry.
        """
        for number, split in enumerate(self.splits):
            rows = split.hashes().find(inputs.hashes()) if split.reading == inputs.reading else None
            if rows is not None:
                entry = self._entry(number, depth, reads)
                return entry and CachedActivations(depth, entry.tensors, torch.from_numpy(rows))
        return None

    def _entry(self, number: int, depth: int, reads: float = math.inf) -> Entry | None:
        """Return the result of `_fetch`, and keep it for each split and depth.

        None is kept too, unless the reason was that too few samples are read.
        """
        if (number, depth) in self._entries:
            return self._entries[number, depth]
        with self._timed():
            entry = self._fetch(number, depth, reads)
        if entry is not None or reads >= len(self.splits[number]):
            self._entries[number, depth] = entry
        return entry

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Add the seconds of the block to `seconds`. A block inside another one is a part of it, and counts once."""
        outermost, self._timing = not self._timing, True
        began = time.perf_counter()
        try:
            yield
        finally:
            if outermost:
                self.seconds += time.perf_counter() - began
                self._timing = False

    def _fetch(self, number: int, depth: int, reads: float) -> Entry | None:
        """Look for the entry of a split in the store, and compute the entry if it is missing.

        Args:
            number: position of the split in `splits`.
            depth: number of stages; 0 stands for decoded images.
            reads: how many samples the run will read in all.

        Returns:
            The entry. None in three cases: at depth 0 if the inputs are already in memory; if the entry is missing and
            `reads` is smaller than the number of samples; if the store cannot write the entry (this is logged).
        """
        inputs = self.splits[number]
        if not depth and not inputs.must_be_decoded:
            return None
        key, rows = self._key(inputs, depth), len(inputs)
        entry = self.store.find(key, rows)
        if entry is None and reads < rows:
            return None
        try:
            return self.counted.take(key, rows, entry, partial(self._compute, number, depth))
        except OSError as error:
            log.warning("cache: %s has no room for the activations of %d stages: %s", self.store.root, depth, error)
            return None

    def _key(self, inputs: Inputs, depth: int) -> str:
        format = self.data.streams.format
        if not depth:
            return decoded_key(inputs, format)
        return entry_key(self.keys[depth], inputs, format, self.forward.how)

    def _drawn(self, stream: Stream, draw: Draw) -> CachedActivations:
        """Return cached activations of one draw of a view; compute them if they are missing.

        Raises:
            LandbridgeError: the activations cannot be written. The run stops, because its results would differ.
        """
        inputs, rows = stream.inputs, len(stream.inputs)
        key = partial(draw.key, inputs=inputs, format=self.data.streams.format, how=self.forward.how)

        def compute() -> Iterator[tuple[Tensor, ...]]:
            known = self.counted.nearest(lambda depth: key(self.keys[depth]), rows, self.depth)
            loader = self.data.in_order("cache", replace(stream, activations=known or stream.activations), BATCH)
            return self.forward.over(loader, self.depth, draw.augmenting(inputs, self.forward.device))

        place = key(self.keys[self.depth])
        try:
            with self._timed():
                entry = self.counted.take(place, rows, self.store.find(place, rows), compute)
        except OSError as error:
            raise LandbridgeError(f"cache.views={self.views}: no room in {self.store.root}: {error}") from error
        self._in_use.append(entry)
        return CachedActivations(self.depth, entry.tensors, torch.arange(rows))

    # Computing -------------------------------------------------------------------------------------------------------

    def _compute(self, number: int, depth: int) -> Iterator[tuple[Tensor, ...]]:
        """Compute the activations of a whole split, batch by batch, from cached earlier activations if there are any.

        Images in files are decoded first, and the decoded images are cached as well.
        """
        inputs = self.splits[number]
        known = self.counted.nearest(partial(self._key, inputs), len(inputs), depth)
        if known is None and depth and (decoded := self._entry(number, 0)):
            known = CachedActivations(0, decoded.tensors, torch.arange(len(inputs)))
        return self.forward.over(
            self.data.in_order("cache", Stream(inputs, self.data.streams.format, activations=known)), depth
        )
