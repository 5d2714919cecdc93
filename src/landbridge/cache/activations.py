"""Activations at the freezing boundary, and decoded images: computed once for all runs, epochs and processes."""

import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Gt
from pytorch_lightning import Trainer
from rich.console import Console
from rich.progress import track
from torch import Tensor

from landbridge.backbones.cut import CannotCut
from landbridge.cache.off import Cache
from landbridge.cache.prefix import decoded_key, entry_key, frozen_throughout, prefix_keys, stands_still
from landbridge.cache.store import Entry, Store
from landbridge.data.activations import Activation
from landbridge.data.activations import Activations as Known
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy

log = logging.getLogger(__name__)

# Precisions in which weights are what they are; the others convert them when training starts.
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")


class Activations(Cache):
    """What the stages that freeze throughout make of every sample, kept on disk and mapped into memory.

    Photographs are kept decoded besides. Results are the same with and without.

    Args:
        path: folder in which entries are kept; several runs and processes may share it.
        size: gigabytes that all entries together may have. Those used least recently go first.
    """

    def __init__(self, path: str = "~/.cache/landbridge/activations", size: Annotated[float, Gt(0)] = 20.0) -> None:
        self.store = Store(Path(path).expanduser(), size * 1e9)
        self.depth = 0
        self.counts = {"found": 0, "computed": 0, "bytes": 0}
        self.seconds = 0.0
        self._entries: dict[tuple[int, int], Entry | None] = {}

    def serve(
        self,
        strategy: Strategy,
        data: TransferData,
        splits: Sequence[Inputs],
        trainer: Trainer,
        backbone: Mapping[str, Any],
    ) -> None:
        """Let streams read activations in the place of inputs, as far as the first stages stand still throughout."""
        self.data, self.trainer, self.config = data, trainer, backbone
        self.backbone = strategy.network.backbone
        self.splits = [(split, {each: row for row, each in enumerate(split.hashes())}) for split in splits]
        self.depth = self._depth(strategy)
        self.keys = prefix_keys(self.backbone, self.config, self.depth)
        if strategy.trains:
            reads = data.steps_per_epoch * data.batch_size * data.processes * (trainer.max_epochs or 1)
            depth = 0 if strategy.reads_inputs else self.depth
            data.read_known(partial(self._known, depth, reads=reads), self._known_at_boundary)
        data.known = self._known_after_training

    def report(self) -> dict[str, Any]:
        """Return how many entries were found and computed, the bytes in all of them, and the seconds it took."""
        return {"cache": {"depth": self.depth, **self.counts, "seconds": round(self.seconds, 3)}}

    def _depth(self, strategy: Strategy) -> int:
        """Return how many stages need not be run."""
        stages = self.backbone.stages
        depth = frozen_throughout(strategy.freeze_policy, stages, self.trainer.max_epochs or 1)
        if self.trainer.precision not in PRECISIONS or not stands_still(strategy, depth):
            return 0
        if 0 < depth < len(stages):
            try:
                self._try(depth)
            except CannotCut as error:
                log.warning("cache: the frozen stages of this backbone are run anew in every epoch: %s", error)
                return 0
        return depth

    def _try(self, depth: int) -> None:
        """See that the backbone says the same of two inputs whether it is cut or whole."""
        spec = self.data.spec
        shape = (spec.channels, *spec.size) if spec else self.splits[0][0].shape
        # Noise of its own, so that the random numbers that training draws stay the same.
        first = Activation(0, (torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)),))
        with self._evaluating():
            (whole,) = self._run(first, len(self.backbone.stages))
            half = Activation(depth, self._run(first, depth))
            if any(not isinstance(each, Tensor) or len(each) != len(whole) for each in half.tensors):
                raise CannotCut("not all that its stages hand on is one row a sample")
            (parts,) = self._run(half, len(self.backbone.stages))
        if not torch.allclose(whole, parts, rtol=1e-3, atol=1e-3 * float(whole.abs().max())):
            raise CannotCut("stage by stage, it does not compute what it computes as a whole")

    # Looking up ------------------------------------------------------------------------------------------------------

    def _known_after_training(self, inputs: Inputs) -> Known | None:
        if prefix_keys(self.backbone, self.config, self.depth) != self.keys:
            raise LandbridgeError("cache: stages that were frozen have changed in training: run it with cache=off")
        return self._known_at_boundary(inputs)

    def _known_at_boundary(self, inputs: Inputs) -> Known | None:
        return self._known(self.depth, inputs)

    def _known(self, depth: int, inputs: Inputs, reads: float = math.inf) -> Known | None:
        """Return what is known of some samples of a split, in whatever order they are.

        A whole split that is not known yet is computed, but not for the sake of fewer `reads` than it has samples.
        """
        hashes = inputs.hashes()
        for number, (_, row_of) in enumerate(self.splits):
            if all(each in row_of for each in hashes):
                rows = torch.tensor([row_of[each] for each in hashes])
                entry = self._entry(number, depth, reads)
                return entry and Known(depth, entry.tensors, rows)
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
        self.counts["computed" if entry is None else "found"] += 1
        if entry is None:
            try:
                entry = self.store.fetch(key, rows, partial(self._compute, number, depth))
            except OSError as error:
                log.warning("cache: %s has no place for what %d stages compute: %s", self.store.root, depth, error)
                return None
        self.counts["bytes"] += entry.bytes
        return entry

    def _key(self, inputs: Inputs, depth: int) -> str:
        spec = self.data.spec
        if not depth and spec:
            return decoded_key(inputs, spec)
        how = f"{self.trainer.strategy.root_device.type} {self.trainer.precision}"
        return entry_key(self.keys[depth], inputs, spec, how)

    # Computing -------------------------------------------------------------------------------------------------------

    def _compute(self, number: int, depth: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the activations of a whole split, batch by batch."""
        stream = Stream(self.splits[number][0], self.data.spec, activations=self._nearest(number, depth))
        loader = self.data.in_order("cache", stream)
        silent = not sys.stderr.isatty()
        with self._evaluating():
            for batch in track(loader, "cache", console=Console(stderr=True), transient=True, disable=silent):
                yield self._run(batch["x"], depth)

    def _nearest(self, number: int, depth: int) -> Known | None:
        """Return what is known of a split at the nearest shallower boundary; of files, at least the decoded images."""
        inputs, _ = self.splits[number]
        rows = torch.arange(len(inputs))
        for shallower in range(depth - 1, 0, -1):
            if entry := self.store.find(self._key(inputs, shallower), len(inputs)):
                return Known(shallower, entry.tensors, rows)
        entry = self._entry(number, 0) if depth else None
        return entry and Known(0, entry.tensors, rows)

    def _run(self, x: Tensor | Activation, depth: int) -> tuple[Tensor, ...]:
        """Run a batch through the stages that it has not been through, until some depth."""
        x = x.to(self.trainer.strategy.root_device)
        if isinstance(x, Tensor):
            if not depth:
                return (x,)
            spec = self.data.spec
            x = Activation(0, (spec.render(x) if spec else x,))
        with torch.inference_mode(), self.trainer.precision_plugin.forward_context():
            return self.backbone.segment(x.depth, depth)(x.tensors)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Put the backbone in evaluation mode on the device that trains, and back to its modes after that."""
        modes = {module: module.training for module in self.backbone.modules()}
        self.backbone.eval().to(self.trainer.strategy.root_device)
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
