"""The exact mean and variance of the inputs of BatchNorm layers over whole training streams."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from landbridge.training.encoder import Encoder


class Moments:
    """Mean and variance per channel, pooled over batches as if they were one batch (Chan et al., 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Add a layer's input (b, channels, ...)."""
        rows = x.detach().float().transpose(0, 1).flatten(1)
        var, mean = (each.double().cpu() for each in torch.var_mean(rows, dim=1, correction=0))
        n, gap = rows.shape[1], mean - self.mean
        total = self.count + n
        self.squares = self.squares + var * n + gap.square() * self.count * n / total
        self.mean = self.mean + gap * n / total
        self.count = total

    def fill(self, layer: nn.BatchNorm2d) -> None:
        """Write mean and unbiased variance into a layer's running statistics, which in training are unbiased too."""
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(self.mean)
        layer.running_var.copy_(self.squares / max(self.count - 1, 1))


def measure_statistics(strategy: Encoder, layers: Collection[nn.BatchNorm2d]) -> None:
    """Set the running statistics of BatchNorm layers to those of their inputs, pooled over all training streams.

    Layers are measured one after the other, starting at the input. When a layer is measured, all layers before it
    already use their new statistics. Each layer takes one pass over the streams, through the network up to that layer.
    The result depends on weights and inputs only. The statistics before the call have no influence.

    Args:
        strategy: in evaluation mode, attached to a trainer.
        layers: the layers to measure. Other layers keep their statistics.
    """
    for layer in _in_order(strategy, layers):
        moments = Moments()
        _pass_until(strategy, layer, moments)
        moments.fill(layer)


def _in_order(strategy: Encoder, layers: Collection[nn.BatchNorm2d]) -> list[nn.BatchNorm2d]:
    """Return the layers in the order in which a forward pass reaches them."""
    reached: dict[Any, None] = {}
    hooks = [layer.register_forward_pre_hook(lambda layer, _: reached.setdefault(layer)) for layer in layers]
    _encode(strategy, *next(_batches(strategy)))
    for hook in hooks:
        hook.remove()
    return list(reached)


def _pass_until(strategy: Encoder, layer: nn.Module, moments: Moments) -> None:
    """Run all training streams through the network up to a layer, and add the layer's inputs to the moments."""

    def record(_: nn.Module, inputs: tuple[Tensor]) -> None:
        moments.add(inputs[0])
        raise _Reached

    hook = layer.register_forward_pre_hook(record)
    for name, batch in _batches(strategy):
        with suppress(_Reached):
            _encode(strategy, name, batch)
    hook.remove()


def _batches(strategy: Encoder) -> Iterator[tuple[str, Any]]:
    for name in strategy.data.streams.training:
        for batch in strategy.data.in_order(name):
            yield name, batch


@torch.no_grad()
def _encode(strategy: Encoder, name: str, batch: Any) -> None:
    strategy.encode(name, strategy.transfer_batch_to_device(batch, strategy.device, 0))


class _Reached(Exception):  # noqa: N818 -- not an error: it skips the rest of a forward pass
    """A forward pass has reached the layer that is being measured."""
