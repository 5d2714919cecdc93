"""Domain-specific batch normalisation."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.func import functional_call

from landbridge.data.activations import Activation
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.strategies.adversarial.dann import DANN
from landbridge.training.norm_layers import BATCH_NORMS

SOURCE = "source"


class DSBN(DANN):
    r"""Domain-specific batch normalisation (Chang et al., 2019, arXiv:1906.03950), with the loss of DANN.

    Source and target have separate BatchNorm statistics and affine parameters, with equal initial values. All other
    weights are shared. The paper's first stage adds semantic alignment (MSTN) to the loss, and its second stage trains
    on pseudo-labels. Neither is implemented. Auxiliary losses can replace the adversarial loss, for example with
    `strategy.weight=0 terms=[mcc]`. The BatchNorm layers of the network itself belong to the target, so that an
    ordinary run can start from the checkpoint. The source's layers are submodules of them.

    Args:
        network: backbone and head. The backbone needs BatchNorm layers.
        **dann: see `DANN`.
    """

    requirements: ClassVar = DANN.requirements.but(separate_heads=False)

    def __init__(self, network: Network, **dann: Any) -> None:
        layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, BATCH_NORMS)}
        if not layers:
            raise LandbridgeError(
                f"strategy DSBN: {type(network.backbone).__name__} has no BatchNorm layers; choose another backbone"
            )
        for layer in layers.values():
            layer.add_module(SOURCE, deepcopy(layer))
        super().__init__(network=network, **dann)
        self._layers: Mapping[str, nn.Module] = layers

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the network with the source's BatchNorm layers for the source, and with the target's for the rest."""
        if name != SOURCE:
            return self.network
        own = {
            f"{path}.{key}": tensor
            for path, layer in self._layers.items()
            for key, tensor in layer.get_submodule(SOURCE).state_dict(keep_vars=True).items()
        }
        return partial(functional_call, self.network, own)
