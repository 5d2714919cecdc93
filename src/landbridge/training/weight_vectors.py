"""Network weights as vectors that can be averaged."""

from collections.abc import Mapping

import torch
from torch import Tensor

from landbridge.models.network import Network
from landbridge.training.batch_norm_statistics import measure_statistics
from landbridge.training.encoder import Encoder
from landbridge.training.norm_layers import BATCH_NORMS


def mixable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a network's state that can be averaged.

    Counters are left out. LoRA's factor A is left out too, and keeps its value. For one value of A, an average of the
    factors B is also an average of the products of both factors. The units of the outputs (`Units`) are no weights: an
    average of networks is in the units that all of them share.
    """
    return {
        name: value
        for name, value in state.items()
        if value.is_floating_point() and ".lora_A." not in name and not name.startswith("units.")
    }


def as_vector(state: Mapping[str, Tensor]) -> Tensor:
    """Return the mixable entries of a network's state as one vector."""
    return torch.cat([value.detach().flatten() for value in mixable(state).values()])


@torch.no_grad()
def pour(vector: Tensor, network: Network) -> None:
    """Write a vector, as returned by `as_vector`, into the weights of a network."""
    entries = list(mixable(network.state_dict()).values())
    for entry, part in zip(entries, vector.split([entry.numel() for entry in entries]), strict=True):
        entry.copy_(part.view_as(entry))


def renew_statistics(strategy: Encoder) -> None:
    """Measure the BatchNorm statistics of a network with averaged weights, on the strategy's training streams.

    This is needed because averaged statistics do not fit averaged weights. Layers in frozen stages keep their
    statistics. Nothing is measured if the network has no BatchNorm. The strategy is left in evaluation mode.
    """
    strategy.train()
    norms = (module for module in strategy.network.modules() if isinstance(module, BATCH_NORMS))
    layers = [layer for layer in norms if layer.running_mean is not None and layer.training]
    strategy.eval()
    if layers:
        measure_statistics(strategy, layers)  # type: ignore[arg-type]
