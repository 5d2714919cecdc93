"""The bases of strategies that use the initial network, or the classifier of the initial weights, in training."""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.models.network import SOURCE_HEAD
from landbridge.strategies.supervised.supervised import TargetOnly
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output

AT_START = "target_at_start"


class WithInitialModel(TargetOnly, ABC):
    """A strategy that also encodes the target with the initial network, a frozen copy from before training.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = TargetOnly.requirements.but(looks_back=True)

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the initial model for `target_at_start`, and the network for every other stream."""
        return self.initial if name == AT_START else super().network_for(name)

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode every stream with the network, and the target also with the initial model."""
        with torch.no_grad():
            at_start = self.encode(AT_START, batch["target"])
        return super().encode_streams(batch) | {AT_START: at_start}


class WithSourceHead(TargetOnly, ABC):
    """A strategy that continues to train the classifier of the initial weights, in addition to the new head.

    For a source model this classifier is its head. For pretrained weights it is their classifier, if their file
    contains one. It has the learning rate of the backbone, because it is trained already, and only the new head has
    the full rate. The authors of Co-Tuning do so (thuml/CoTuning, train.py).
    """

    requirements: ClassVar = TargetOnly.requirements.but(source_classifier=True, needs={ONE_CLASS})
    source_head: nn.Linear

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the classifier of the initial weights.

        Raises:
            LandbridgeError: the initial weights have no classifier, or its number of features is different.
        """
        super().load_auxiliary_state(state)
        own = {name: state.get(f"{SOURCE_HEAD}{name}") for name in ("weight", "bias")}
        weight, features = own["weight"], self.network.features
        if weight is None or weight.shape[1] != features:
            raise LandbridgeError(
                f"strategy {type(self).__name__} needs the classifier that its start was trained with: set "
                "start=source, start=checkpoint, or start=pretrained bottleneck=none with weights that hold one"
            )
        self.source_head = nn.Linear(features, len(weight))
        self.source_head.load_state_dict(own)

    def lr_scales(self) -> dict[str, float]:
        """Map names of parameters to their learning rates relative to the new head's; see `Trainable`."""
        own = (name for name, _ in self.named_parameters() if name.startswith(SOURCE_HEAD))
        return super().lr_scales() | dict.fromkeys(own, self.backbone_lr_scale)
