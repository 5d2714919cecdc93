"""Runs frozen stages over samples, in evaluation mode, on the device and with the precision that train."""

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


class Forward:
    """The forward pass of a backbone, as far as some depth.

    Args:
        backbone: whose stages are run.
        format: what raw samples are rendered to.
        trainer: says on which device and with which precision.
    """

    def __init__(self, backbone: Backbone, format: Format, trainer: Trainer) -> None:
        self.backbone = backbone
        self.format = format
        self.device = trainer.strategy.root_device
        self.how = f"{self.device.type} {trainer.precision}"
        self._precision = trainer.precision_plugin

    def over(self, loader: DataLoader[Any], depth: int, change: Change = lambda x: x) -> Iterator[tuple[Tensor, ...]]:
        """Yield what the first `depth` stages make of each batch of a loader, which may be changed before."""
        silent = not sys.stderr.isatty()
        with self.evaluating():
            for batch in track(loader, "cache", console=Console(stderr=True), transient=True, disable=silent):
                yield self.run(change(batch["x"]), depth)

    def run(self, x: Activation, depth: int) -> tuple[Tensor, ...]:
        """Run a batch through the stages that it has not been through, until some depth; at 0 it stays as it is."""
        x = x.to(self.device)
        if not depth:
            return x.tensors
        return self._stages(Activation(0, self.format.render(x.tensors)) if x.depth == 0 else x, depth)

    def _stages(self, x: Activation, depth: int) -> tuple[Tensor, ...]:
        with torch.inference_mode(), self._precision.forward_context():
            return self.backbone.segment(x.depth, depth)(x.tensors)

    def try_cut(self, depth: int) -> None:
        """Check that the backbone computes the same of two inputs whether it is cut or whole.

        Args:
            depth: of the cut.

        Raises:
            CannotCut: it does not.
        """
        stages = len(self.backbone.stages)
        # Noise of its own, so that the random numbers that training draws stay the same.
        first = Activation(0, self.format.example(2, torch.Generator().manual_seed(0))).to(self.device)
        with self.evaluating():
            (whole,) = self._stages(first, stages)
            half = Activation(depth, self._stages(first, depth))
            if any(not isinstance(each, Tensor) or len(each) != len(whole) for each in half.tensors):
                raise CannotCut("not all that its stages hand on is one row a sample")
            (parts,) = self._stages(half, stages)
        if not torch.allclose(whole, parts, rtol=1e-3, atol=1e-3 * float(whole.abs().max())):
            raise CannotCut("stage by stage, it does not compute what it computes as a whole")

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the backbone in evaluation mode on the device that trains, and back to its modes after that."""
        modes = {module: module.training for module in self.backbone.modules()}
        self.backbone.eval().to(self.device)
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
