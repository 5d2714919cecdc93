"""A backbone with a head: the module that a strategy trains and a checkpoint stores."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.heads import Linear
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.bottleneck import Bottleneck

#: Name prefix of the classifier that the loaded weights were trained with. Its classes may differ from the target's.
SOURCE_HEAD = "source_head."

#: Name prefixes of the parameters of a strategy that turn inputs into features.
ENCODER_PARAMETERS = ("network.backbone.", "network.bottleneck.")


class Units(nn.Module):
    """Centre and scale of each output, so that a head need not learn the units of the data.

    Until they are set, they are 0 and 1. A checkpoint keeps them.

    Args:
        outputs: how many there are.
    """

    centre: Tensor
    scale: Tensor
    are_set: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))
        self.register_buffer("are_set", torch.tensor(False))

    def set(self, centre: Tensor, scale: Tensor) -> None:
        """Set both (outputs,)."""
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        self.are_set.fill_(True)

    def forward(self, outputs: Tensor) -> Tensor:
        """Return outputs (b, outputs) in the units of the data."""
        return torch.addcmul(self.centre, outputs, self.scale)


class SourceHead(nn.Module):
    """The head of the source, where source and target have different tasks.

    Args:
        head: from features to outputs.
        units: of the outputs; None if they are logits.
    """

    def __init__(self, head: nn.Module, units: Units | None) -> None:
        super().__init__()
        self.head = head
        self.units = units

    def forward(self, features: Tensor) -> Tensor:
        """Return outputs (b, k) of features (b, d)."""
        outputs = self.head(features)
        return outputs if self.units is None else self.units(outputs)


class Network(nn.Module):
    """A backbone and a head, a bottleneck between them if one is configured, and maybe a head for the source.

    The source has a head of its own if its task differs from that of the target. Both heads read the same features.

    Args:
        backbone: the encoder.
        outputs: width of the head's output.
        head: makes the head from the width of the features and the width of the output.
        has_units: whether outputs are numbers in the units of the data; logits have none.
        bottleneck: makes the bottleneck from the width of the backbone's features; None for no bottleneck.

    Attributes:
        features: width of what the head reads.
    """

    def __init__(
        self,
        backbone: Backbone,
        outputs: int,
        head: Callable[[int, int], nn.Module] = Linear,
        has_units: bool = False,
        bottleneck: Callable[[int], Bottleneck] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.bottleneck = bottleneck(backbone.features) if bottleneck else None
        self.features = self.bottleneck.width if self.bottleneck is not None else backbone.features
        self.outputs = outputs
        self._make_head = head
        self.head = self.new_head()
        self.units = Units(outputs) if has_units else None
        self.source: SourceHead | None = None

    @property
    def behind_the_backbone(self) -> dict[str, nn.Module]:
        """The bottleneck, if there is one, and the head, by name."""
        return {**({} if self.bottleneck is None else {"bottleneck": self.bottleneck}), "head": self.head}

    def new_head(self) -> nn.Module:
        """Build another head of the same kind for the same outputs, with random weights."""
        return self._make_head(self.features, self.outputs)

    def add_source_head(
        self, outputs: int, head: Callable[[int, int], nn.Module] = Linear, has_units: bool = False
    ) -> None:
        """Add a head for the source. The arguments are those of the network."""
        self.source = SourceHead(head(self.features, outputs), Units(outputs) if has_units else None)

    def forward(self, x: Tensor | Activation) -> tuple[Tensor, Tensor]:
        """Return features (b, d) and outputs (b, k) of inputs (b, ...), or of an activation."""
        features = self.features_of(x)
        return features, self.outputs_of(features)

    def for_source(self, x: Tensor | Activation) -> tuple[Tensor, Tensor]:
        """Return features and outputs as `forward` does, with the source's own head if there is one."""
        features = self.features_of(x)
        return features, self.outputs_of(features) if self.source is None else self.source(features)

    def features_of(self, x: Tensor | Activation) -> Tensor:
        """Return features (b, d) of inputs (b, ...), or of an activation."""
        return self.narrowed(self.backbone.finish(x) if isinstance(x, Activation) else self.backbone(x))

    def narrowed(self, encoded: Tensor) -> Tensor:
        """Return features (b, d) of outputs of the backbone; these are the same without a bottleneck."""
        return encoded if self.bottleneck is None else self.bottleneck(encoded)

    def outputs_of(self, features: Tensor) -> Tensor:
        """Return outputs (b, k) of features (b, d)."""
        outputs = self.head(features)
        return outputs if self.units is None else self.units(outputs)
