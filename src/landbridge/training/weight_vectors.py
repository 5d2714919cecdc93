"""Networks as points in weight space: vectors that can be averaged."""

from collections.abc import Mapping

import torch
from torch import Tensor

from landbridge.models.network import Network
from landbridge.training.batch_norm_statistics import measure_statistics
from landbridge.training.encoder import Encoder
from landbridge.training.norm_layers import BATCH_NORMS


def mixable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a network's state that an average makes sense of.

    Counters are none. Of LoRA's two factors one stays, so that a mix of the others is a mix of their products.
    """
    return {name: value for name, value in state.items() if value.is_floating_point() and ".lora_A." not in name}


def as_vector(state: Mapping[str, Tensor]) -> Tensor:
    """Return a network's state as a point in weight space: its mixable entries as one vector."""
    return torch.cat([value.detach().flatten() for value in mixable(state).values()])


@torch.no_grad()
def pour(vector: Tensor, network: Network) -> None:
    """Put a point in weight space into a network."""
    entries = list(mixable(network.state_dict()).values())
    for entry, part in zip(entries, vector.split([entry.numel() for entry in entries]), strict=True):
        entry.copy_(part.view_as(entry))


def renew_statistics(strategy: Encoder) -> None:
    """Measure BatchNorm statistics anew after mixing, on the strategy's training streams.

    Mixed statistics fit none of the models. Layers in frozen stages keep theirs. A network without BatchNorm needs
    nothing. The strategy is left in evaluation mode.
    """
    strategy.train()
    norms = (module for module in strategy.network.modules() if isinstance(module, BATCH_NORMS))
    layers = [layer for layer in norms if layer.running_mean is not None and layer.training]
    strategy.eval()
    if layers:
        measure_statistics(strategy, layers)  # type: ignore[arg-type]
