"""The cache of activations and decoded images, which are computed once for all runs, epochs and processes.

The activations are the outputs of the last stage that is frozen throughout the run.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt
from pytorch_lightning import Trainer

from landbridge.activation_cache.draw import Drawing
from landbridge.activation_cache.entries import Entries
from landbridge.activation_cache.forward import Forward
from landbridge.activation_cache.off import Cache
from landbridge.activation_cache.prefix import prefix_keys, stands_still
from landbridge.activation_cache.run_store import RunStore
from landbridge.activation_cache.store import Store
from landbridge.data.inputs import Inputs
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

    Images that are read from files are also kept decoded, and texts tokenised. Each sample is kept once, whatever
    split, seed or domain it belongs to. Unless `views` is set, results are the same as without the cache.

    Args:
        path: folder in which activations are kept; several runs and processes may share it.
        size: maximum size of the folder, in gigabytes. The least recently used activations are removed first.
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
        self.used = RunStore(self.store)
        self.seconds = 0.0

    def attach(
        self,
        strategy: Strategy,
        data: TransferData,
        tested: Sequence[Inputs],
        trainer: Trainer,
        backbone: Mapping[str, Any],
    ) -> TransferStreams:
        """Return streams that read cached activations of the stages that are frozen throughout, instead of inputs."""
        self.data, self.trainer, self.config = data, trainer, backbone
        self.backbone = strategy.network.backbone
        self.forward = Forward(self.backbone, data.streams.format, trainer)
        self.depth = self._depth(strategy)
        self.keys = prefix_keys(self.backbone, self.config, self.depth)
        self.entries = Entries(self.used, self.keys, self.forward, data)
        began = time.perf_counter()
        self._fill(strategy, tested)
        streams = self._streams(strategy)
        self.seconds = time.perf_counter() - began
        return streams

    def _fill(self, strategy: Strategy, tested: Sequence[Inputs]) -> None:
        """Compute the missing activations of all samples that the run reads at least once.

        A training stream is left out if the run reads fewer samples of it than are missing, to save time.

        Example:
            A stream has 1000 samples, and none of them is in the cache. A run that reads 640 samples in all (10 steps
            of 64) does not compute them, and one that reads 6400 does. If only 200 are missing, both compute them.
        """
        streams, needed = self.data.streams, {self.depth: list(tested)}
        if strategy.requirements.trains:
            needed[self.depth] += [stream.inputs for stream in streams.validation.values()]
            steps = self.data.steps_per_epoch * self.data.processes * (self.trainer.max_epochs or 1)
            for name, stream in streams.training.items():
                depth = self._read_at(name, strategy)
                if self.entries.missing(depth, stream.inputs) <= steps * self.data.batch_size_of(name):
                    needed.setdefault(depth, []).append(stream.inputs)
        for depth, inputs in needed.items():
            self.entries.fill(depth, inputs)

    def _streams(self, strategy: Strategy) -> TransferStreams:
        """Return the streams with the activations that are in the cache now."""
        at_boundary = partial(self.entries.find, self.depth)
        streams = replace(self.data.streams, cached=at_boundary)
        if not strategy.requirements.trains:
            return streams
        streams = replace(
            streams,
            training={
                name: replace(stream, activations=self.entries.find(self._read_at(name, strategy), stream.inputs))
                for name, stream in streams.training.items()
            },
            validation={
                role: replace(stream, activations=at_boundary(stream.inputs))
                for role, stream in streams.validation.items()
            },
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
        drawing = Drawing(self.used, self.keys, self.forward, self.data)
        return replace(streams, cached_views=drawing.views(views, streams, self.views))

    def require_unchanged(self) -> None:
        """Check that the cached stages still have the weights that they had when the cache was attached.

        Raises:
            LandbridgeError: training or testing has changed a stage that was frozen.
        """
        if prefix_keys(self.backbone, self.config, self.depth) != self.keys:
            raise LandbridgeError("cache: stages that were frozen have changed; run again with cache=off")

    def report(self) -> dict[str, Any]:
        """Return how many samples were found and computed, the bytes of their rows, and the seconds that this took.

        A sample counts once for each depth at which it is read or computed, and for each view that is drawn of it.
        """
        return {"cache": {"depth": self.depth, **self.used.counts, "seconds": round(self.seconds, 3)}}

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
