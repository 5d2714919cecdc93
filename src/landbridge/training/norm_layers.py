"""Which normalisation layers of a network a strategy may adapt."""

from typing import Any, cast

from torch import nn

from landbridge.errors import LandbridgeError
from landbridge.training.encoder import Encoder

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
AFFINE_NORMS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def layers_with_statistics(strategy: Encoder) -> list[nn.BatchNorm2d]:
    """Return the BatchNorm layers with running statistics, in the stages that train.

    Raises:
        LandbridgeError: there are none, or all of them are frozen.
    """
    return _free(strategy, BATCH_NORMS, "running_mean", "BatchNorm layer with running statistics")


def layers_with_affine(strategy: Encoder) -> list[Any]:
    """Return the normalisation layers with a scale of their own, in the stages that train.

    Raises:
        LandbridgeError: there are none, or all of them are frozen.
    """
    return _free(strategy, AFFINE_NORMS, "weight", "normalisation layer with affine parameters")


def _free(strategy: Encoder, kinds: tuple[type[nn.Module], ...], holds: str, what: str) -> list[Any]:
    layers = [
        layer
        for layer in strategy.network.modules()
        if isinstance(layer, kinds) and getattr(layer, holds, None) is not None
    ]
    name = type(strategy).__name__
    if not layers:
        backbone = type(strategy.network.backbone).__name__
        raise LandbridgeError(f"strategy {name} has nothing to adapt: {backbone} has no {what}")
    strategy.train()
    free = [layer for layer in layers if layer.training]
    if not free:
        raise LandbridgeError(
            f"strategy {name} has nothing to adapt: every {what} is frozen; lower freeze.depth or set tuning=full"
        )
    return cast(list[Any], free)
