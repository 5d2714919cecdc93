"""Forward passes of frozen stages, in evaluation mode, on the device and with the precision of training."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import Trainer
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from landbridge.data.activations import Activation
from landbridge.data.formats import Format
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.backbones.stage_graph import CannotCut

Change = Callable[[Activation], Activation]

#: Number of samples in every forward pass. A smaller last batch is filled up with copies. Fast kernels round in another
#: way if a batch has another number of rows, so with a fixed number the activation of a sample does not depend on which
#: samples are computed together. It is no setting: larger batches take more memory and no less time.
BATCH = 64


class Forward:
    """Runs the first stages of a backbone.

    Args:
        backbone: the backbone.
        format: format to which samples are rendered.
        trainer: has the device and the precision.
    """

    def __init__(self, backbone: Backbone, format: Format, trainer: Trainer) -> None:
        self.backbone = backbone
        self.format = format
        self.device = trainer.strategy.root_device
        self.how = f"{self.device.type} {trainer.precision}"
        self._precision = trainer.precision_plugin

    def over(self, loader: DataLoader[Any], depth: int, change: Change = lambda x: x) -> Iterator[tuple[Tensor, ...]]:
        """Yield the activations of the first `depth` stages for each batch of a loader; `change` is applied before."""
        silent = not sys.stderr.isatty()
        with self.evaluating():
            for batch in track(loader, "cache", console=Console(stderr=True), transient=True, disable=silent):
                yield self.run(change(batch["x"]), depth)

    def run(self, x: Activation, depth: int) -> tuple[Tensor, ...]:
        """Run a batch of up to `BATCH` samples through all stages between its own depth and `depth`.

        A batch of inputs has depth 0.

        Example:
            With `depth=3`, activations of depth 1 run through the second and the third stage. With `depth=0`, raw
            samples are returned unchanged.
        """
        x, size = x.to(self.device), len(x)
        if depth:
            x = x.take(torch.arange(BATCH, device=self.device) % size) if size < BATCH else x
            rendered = Activation(0, self.format.render(x.tensors)) if x.depth == 0 else x
            x = Activation(depth, tuple(each[:size] for each in self._stages(rendered, depth)))
        return self.format.evened(x.tensors)

    def _stages(self, x: Activation, depth: int) -> tuple[Tensor, ...]:
        with torch.inference_mode(), self._precision.forward_context():
            return self.backbone.segment(x.depth, depth)(x.tensors)

    def try_cut(self, depth: int) -> None:
        """Check that the backbone computes the same features of two random inputs whether or not it is cut.

        Args:
            depth: number of stages before the cut.

        Raises:
            CannotCut: the features differ, or some activation at the cut does not have one row for each sample.
        """
        stages = len(self.backbone.stages)
        # A separate generator, so that the random numbers of training stay the same.
        first = Activation(0, self.format.example(2, torch.Generator().manual_seed(0))).to(self.device)
        with self.evaluating():
            (whole,) = self._stages(first, stages)
            half = Activation(depth, self._stages(first, depth))
            if any(not isinstance(each, Tensor) or len(each) != len(whole) for each in half.tensors):
                raise CannotCut("an activation between its stages does not have one row for each sample")
            (parts,) = self._stages(half, stages)
        if not torch.allclose(whole, parts, rtol=1e-3, atol=1e-3 * float(whole.abs().max())):
            raise CannotCut("its two parts together do not compute the same features as the whole backbone")

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the backbone in evaluation mode on the training device; restore the modes of its modules at the end."""
        modes = {module: module.training for module in self.backbone.modules()}
        self.backbone.eval().to(self.device)
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
