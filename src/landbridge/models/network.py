"""A backbone with a head: the module that a strategy trains and a checkpoint stores."""

from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.models.backbones.backbone import Backbone

#: Name prefix of the classifier that the loaded weights were trained with. Its classes may differ from the target's.
SOURCE_HEAD = "source_head."


class Network(nn.Module):
    """A backbone and a linear head over the target's classes.

    Args:
        backbone: the encoder.
        classes: number of classes.
    """

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.features, classes)

    def forward(self, x: Tensor | Activation) -> tuple[Tensor, Tensor]:
        """Return features (b, d) and logits (b, classes) of inputs (b, ...), or of an activation."""
        features = self.backbone.finish(x) if isinstance(x, Activation) else self.backbone(x)
        return features, self.head(features)
