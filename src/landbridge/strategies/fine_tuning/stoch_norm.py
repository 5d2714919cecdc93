"""Fine-tuning in which BatchNorm now and then relies on what it knows already."""

from functools import partial
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.func import functional_call

from landbridge.errors import LandbridgeError
from landbridge.strategies.supervised.supervised import TargetOnly
from landbridge.training.norm_layers import BATCH_NORMS


class StochNorm(TargetOnly):
    r"""Stochastic normalisation (Kou et al., NeurIPS 2020).

    In training each channel of each BatchNorm layer is normalised by the batch's statistics or, with probability p, by
    the running ones, drawn anew in every forward pass; in evaluation nothing changes. Running statistics follow the
    batches as ever. The layers stay what they are, so that a checkpoint starts an ordinary run. The loss is the
    cross-entropy of the visible target labels.

    Args:
        p: probability of the running statistics; at 0 it is BatchNorm.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the network has no BatchNorm layer with running statistics.
    """

    def __init__(self, p: Annotated[float, Ge(0), Le(1)] = 0.5, **base: Any) -> None:
        super().__init__(**base)
        layers = [each for each in self.network.modules() if isinstance(each, BATCH_NORMS) and each.track_running_stats]
        if not layers:
            backbone = type(self.network.backbone).__name__
            raise LandbridgeError(f"strategy StochNorm: {backbone} has no BatchNorm layers with running statistics")
        for layer in layers:
            layer.register_forward_hook(partial(_mix, p))


def _mix(p: float, layer: nn.Module, inputs: tuple[Tensor], by_batch: Tensor) -> Tensor | None:
    """Put channels that are normalised by running statistics in the place of some of a layer's output."""
    if not layer.training:
        return None
    # Copies, since the next forward pass moves the statistics before this one's gradient is computed.
    running = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    layer.training = False
    by_running = functional_call(layer, running, inputs)
    layer.training = True
    chosen = torch.rand(by_batch.shape[1], device=by_batch.device) < p
    return torch.where(chosen.view(-1, *[1] * (by_batch.ndim - 2)), by_running, by_batch)
