"""A frozen copy of the network before training."""

from copy import deepcopy

from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from landbridge.data.activations import Activation
from landbridge.models.network import Network


class InitialModel(nn.Module):
    """A frozen copy of a network, in evaluation mode, for strategies and auxiliary losses that compare with it.

    The copy is part of the strategy's checkpoint, so that a resumed run compares with the same weights.

    Args:
        network: backbone and head, before training.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = deepcopy(network)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "InitialModel":
        """Stay in evaluation mode, for any value of `mode`."""
        super().train(False)
        return self

    def forward(self, x: Tensor | Activation) -> tuple[Tensor, Tensor]:
        """Return features (b, d) and logits (b, classes), as `Network` does."""
        return self.network(x)

    @property
    def backbone_vector(self) -> Tensor:
        """All parameters of the backbone as one vector."""
        return parameters_to_vector(self.network.backbone.parameters())

    def keep(self, name: str, module: nn.Module) -> None:
        """Store a frozen copy of another module, such as the source's classifier, under a name."""
        self.add_module(name, deepcopy(module).requires_grad_(False).eval())
