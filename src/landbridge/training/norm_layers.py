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
        LandbridgeError: the network has no such layer, or all such layers are frozen.
    """
    return _not_frozen(strategy, BATCH_NORMS, "running_mean", "BatchNorm layer with running statistics")


def layers_with_affine(strategy: Encoder) -> list[Any]:
    """Return the normalisation layers with affine parameters, in the stages that train.

    Raises:
        LandbridgeError: the network has no such layer, or all such layers are frozen.
    """
    return _not_frozen(strategy, AFFINE_NORMS, "weight", "normalisation layer with affine parameters")


def _not_frozen(strategy: Encoder, kinds: tuple[type[nn.Module], ...], attribute: str, description: str) -> list[Any]:
    layers = [
        layer
        for layer in strategy.network.modules()
        if isinstance(layer, kinds) and getattr(layer, attribute, None) is not None
    ]
    name = type(strategy).__name__
    if not layers:
        backbone = type(strategy.network.backbone).__name__
        raise LandbridgeError(
            f"strategy {name} has nothing to adapt: {backbone} has no {description}; choose another model or strategy"
        )
    strategy.train()
    not_frozen = [layer for layer in layers if layer.training]
    if not not_frozen:
        raise LandbridgeError(
            f"strategy {name} has nothing to adapt: every {description} is frozen; lower freeze.depth or set "
            "tuning=full"
        )
    return cast(list[Any], not_frozen)
