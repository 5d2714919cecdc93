"""Bottleneck adapters."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Gt
from torch import Tensor, nn

from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.tuning.tuning import Tuning, pick_layers

KINDS = (nn.Linear, nn.Conv2d)
#: Where Houlsby et al. put adapters: the last layers of both branches of a transformer block, by the names of timm and,
#: for both branches, of transformers.
BRANCH_ENDS = ("attn.proj", "mlp.fc2", "output.dense")
DOWN = ".adapter.down.weight"


class Adapter(nn.Module):
    """A bottleneck with a residual connection. At initialisation it is the identity.

    Args:
        layer: the layer whose output is the input of the adapter.
        width: width of the bottleneck.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, width: int) -> None:
        super().__init__()
        if isinstance(layer, nn.Linear):
            self.down: nn.Module = nn.Linear(layer.out_features, width)
            self.up = nn.Linear(width, layer.out_features)
        else:
            self.down = nn.Conv2d(layer.out_channels, width, 1)
            self.up = nn.Conv2d(width, layer.out_channels, 1)
        nn.init.zeros_(self.up.weight)
        assert self.up.bias is not None
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the adapted output, of the same shape."""
        return x + self.up(nn.functional.gelu(self.down(x)))


class Adapters(Tuning):
    """Bottleneck adapters after layers of the backbone (Houlsby et al., 2019, arXiv:1902.00751).

    Only the adapters train. Weights, scales of normalisation layers and BatchNorm statistics of the backbone are
    frozen. Adapters cannot be merged into weights: `start=checkpoint` adds them where the checkpoint has them, and they
    remain in the network.

    Args:
        width: width of the bottleneck.
        targets: endings of the names of linear and convolution layers. None takes the last layer of both branches of
            every transformer block, by the names of timm and transformers. If there are no such layers, None takes all
            linear and ungrouped convolution layers.
    """

    def __init__(self, width: Annotated[int, Gt(0)] = 16, targets: Sequence[str] | None = None) -> None:
        self.width = width
        self.targets = targets

    def apply(self, backbone: Backbone, stages: Collection[int] | None = None) -> None:
        """Add an adapter after every target in stages that train. If the start has added adapters, keep those.

        Raises:
            LandbridgeError: a target is neither a linear nor a convolution layer.
        """
        if not any(isinstance(module, Adapter) for module in backbone.modules()):
            names = [f".{name}" for name, _ in backbone.named_modules()]
            blocks = [end for end in BRANCH_ENDS if any(name.endswith(f".{end}") for name in names)]
            for layer in pick_layers(backbone, stages, KINDS, self.targets or blocks or None, "an adapter").values():
                _add(layer, self.width)
        backbone.hold([name for name, _ in backbone.named_parameters() if ".adapter." not in name])


def restore_adapters(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Add adapters to a network where a state has them.

    Args:
        network: the network to change.
        state: state of a network, by name. A state without adapters changes nothing.

    Raises:
        LandbridgeError: the network has no layer of that name.
    """
    for name, down in state.items():
        if name.endswith(DOWN):
            try:
                layer = network.get_submodule(name.removesuffix(DOWN))
            except AttributeError as error:
                raise LandbridgeError(f"start.path: this network has no layer for {name} of the checkpoint") from error
            _add(layer, len(down))


def _add(layer: Any, width: int) -> None:
    # With a hook, the layer's own parameters keep their names.
    layer.adapter = Adapter(layer, width)
    layer.register_forward_hook(_adapt)


def _adapt(layer: Any, _: tuple[Any, ...], output: Tensor) -> Tensor:
    return layer.adapter(output)
