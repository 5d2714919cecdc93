"""Domain-specific batch normalisation."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from landbridge.data.activations import Activation
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.strategies.adversarial.dann import DANN
from landbridge.training.norm_layers import BATCH_NORMS

SOURCE = "source"


class DSBN(DANN):
    r"""Domain-specific batch normalisation (Chang et al., 2019, arXiv:1906.03950), trained by an adversary.

    The source has BatchNorm statistics and affine parameters of its own, and so has the target; all other weights are
    shared. Both start alike. The loss is DANN's. The paper's first stage adds semantic alignment (MSTN) to it, and a
    second one trains on pseudo-labels; neither is here, but terms can take the adversary's place, as in
    `strategy.weight=0 terms=[mcc]`. The layers of the network itself are the target's, so that a checkpoint starts an
    ordinary run; the source's lie beside them.

    Args:
        network: backbone and head; the backbone needs BatchNorm layers.
        **dann: see `DANN`.
    """

    def __init__(self, network: Network, **dann: Any) -> None:
        layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, BATCH_NORMS)}
        if not layers:
            raise LandbridgeError(f"strategy DSBN: {type(network.backbone).__name__} has no BatchNorm layers to double")
        for layer in layers.values():
            layer.add_module(SOURCE, deepcopy(layer))
        super().__init__(network=network, **dann)
        self._layers: Mapping[str, nn.Module] = layers

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Encode the source with its own BatchNorm layers, and everything else with the target's."""
        if name != SOURCE:
            return self.network
        own = {
            f"{path}.{key}": tensor
            for path, layer in self._layers.items()
            for key, tensor in layer.get_submodule(SOURCE).state_dict(keep_vars=True).items()
        }
        return partial(functional_call, self.network, own)
