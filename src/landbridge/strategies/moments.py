"""The exact mean and variance of what flows into a layer over many batches."""

import torch
from torch import Tensor, nn


class Moments:
    """Mean and variance per channel, pooled over batches as if they were one (Chan et al., 1979)."""

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
        """Make them a layer's running statistics, with the unbiased variance, as in training."""
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(self.mean)
        layer.running_var.copy_(self.squares / max(self.count - 1, 1))
