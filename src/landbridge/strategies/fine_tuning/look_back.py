"""The bases of strategies that look back at what they start from: its network, or its classifier."""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.models.network import SOURCE_HEAD
from landbridge.strategies.requirements import CLASSES
from landbridge.strategies.supervised.supervised import TargetOnly
from landbridge.training.output import Output

AT_START = "target_at_start"


class WithInitialModel(TargetOnly, ABC):
    """A strategy that also encodes the target with the network as it was before training.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = TargetOnly.requirements.but(looks_back=True)

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Encode `target_at_start` with the initial model, and everything else with the network."""
        return self.initial if name == AT_START else super().network_for(name)

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode every stream, and the target as it was at the start, too."""
        with torch.no_grad():
            at_start = self.encode(AT_START, batch["target"])
        return super().encode_streams(batch) | {AT_START: at_start}


class WithSourceHead(TargetOnly, ABC):
    """A strategy that goes on training the classifier which its start's weights came with, beside the new head.

    A source model brings its head, and pretrained weights their classifier where the file holds one.
    """

    requirements: ClassVar = TargetOnly.requirements.but(source_classifier=True, tasks=CLASSES)
    source_head: nn.Linear

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over the classifier.

        Raises:
            LandbridgeError: the start brings none, or one of other features.
        """
        super().load_auxiliary_state(state)
        own = {name: state.get(f"{SOURCE_HEAD}{name}") for name in ("weight", "bias")}
        weight, features = own["weight"], self.network.backbone.features
        if weight is None or weight.shape[1] != features:
            raise LandbridgeError(
                f"strategy {type(self).__name__} needs the classifier that its start was trained with: set "
                "start=source, start=checkpoint, or start=pretrained with weights that hold one"
            )
        self.source_head = nn.Linear(features, len(weight))
        self.source_head.load_state_dict(own)
