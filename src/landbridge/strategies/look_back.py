"""The bases of strategies that look back at what they start from: its network, or its classifier."""

from abc import ABC
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.network import SOURCE_HEAD
from landbridge.strategies.output import Output
from landbridge.strategies.supervised import TargetOnly

AT_START = "target_at_start"


class WithOrigin(TargetOnly, ABC):
    """A strategy that keeps the network it starts from, in evaluation mode, beside the one that it trains.

    The copy is in the checkpoint, so that a resumed run looks back at the same.

    Args:
        **base: see `Strategy`.
    """

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.origin = deepcopy(self.network).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "WithOrigin":
        """Set the mode of all modules but the origin."""
        super().train(mode)
        self.origin.eval()
        return self

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Encode `target_at_start` with the origin, and everything else with the network."""
        return self.origin if name == AT_START else super().network_for(name)

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode every stream, and the target as it was at the start, too."""
        with torch.no_grad():
            at_start = self.encode(AT_START, batch["target"])
        return super().encode_streams(batch) | {AT_START: at_start}


class WithSourceHead(TargetOnly, ABC):
    """A strategy that goes on training the classifier which its start's weights came with, beside the new head.

    A source model brings its head, and pretrained weights their classifier where the file holds one.
    """

    source_head: nn.Linear

    def inherit(self, beside: Mapping[str, Tensor]) -> None:
        """Take over the classifier.

        Raises:
            LandbridgeError: the start brings none, or one of other features.
        """
        super().inherit(beside)
        state = {name: beside.get(f"{SOURCE_HEAD}{name}") for name in ("weight", "bias")}
        weight, features = state["weight"], self.network.backbone.features
        if weight is None or weight.shape[1] != features:
            raise LandbridgeError(
                f"strategy {type(self).__name__} needs the classifier that its start was trained with: set "
                "start=source, start=checkpoint, or start=pretrained with weights that hold one"
            )
        self.source_head = nn.Linear(features, len(weight))
        self.source_head.load_state_dict(state)
