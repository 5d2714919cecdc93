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
from landbridge.data.inputs import InputSpec
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.backbones.stage_graph import CannotCut

Change = Callable[[Tensor | Activation], Tensor | Activation]


class Forward:
    """The forward pass of a backbone, as far as some depth.

    Args:
        backbone: whose stages are run.
        spec: what images are rendered to; None for vectors.
        trainer: says on which device and with which precision.
    """

    def __init__(self, backbone: Backbone, spec: InputSpec | None, trainer: Trainer) -> None:
        self.backbone = backbone
        self.spec = spec
        self.device = trainer.strategy.root_device
        self.how = f"{self.device.type} {trainer.precision}"
        self._precision = trainer.precision_plugin

    def over(self, loader: DataLoader[Any], depth: int, change: Change = lambda x: x) -> Iterator[tuple[Tensor, ...]]:
        """Yield what the first `depth` stages make of each batch of a loader, which may be changed before."""
        silent = not sys.stderr.isatty()
        with self.evaluating():
            for batch in track(loader, "cache", console=Console(stderr=True), transient=True, disable=silent):
                yield self.run(change(batch["x"]), depth)

    def run(self, x: Tensor | Activation, depth: int) -> tuple[Tensor, ...]:
        """Run a batch through the stages that it has not been through, until some depth."""
        x = x.to(self.device)
        if isinstance(x, Tensor):
            if not depth:
                return (x,)
            x = Activation(0, (self.spec.render(x) if self.spec else x,))
        with torch.inference_mode(), self._precision.forward_context():
            return self.backbone.segment(x.depth, depth)(x.tensors)

    def try_cut(self, depth: int, shape: tuple[int, ...]) -> None:
        """See that the backbone says the same of two inputs whether it is cut or whole.

        Args:
            depth: of the cut.
            shape: of an input.

        Raises:
            CannotCut: it does not.
        """
        stages = len(self.backbone.stages)
        # Noise of its own, so that the random numbers that training draws stay the same.
        first = Activation(0, (torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)),))
        with self.evaluating():
            (whole,) = self.run(first, stages)
            half = Activation(depth, self.run(first, depth))
            if any(not isinstance(each, Tensor) or len(each) != len(whole) for each in half.tensors):
                raise CannotCut("not all that its stages hand on is one row a sample")
            (parts,) = self.run(half, stages)
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
