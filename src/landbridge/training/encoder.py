"""A LightningModule that runs streams through its network."""

from abc import ABC
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from landbridge.data.activations import Activation
from landbridge.data.streams import Batch, Stream
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.training.lightning_speed import FastModule
from landbridge.training.output import Output


class Encoder(FastModule, ABC):
    """Runs batches and whole streams through a network.

    Args:
        network: backbone and head.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @property
    def data(self) -> TransferData:
        """The data that it trains on."""
        return cast(Any, self.trainer).datamodule

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the network that encodes a stream: the same for all streams, unless a strategy keeps a second one.

        In the frozen stages it must be the same too.
        """
        return self.network

    def encode(self, name: str, batch: Batch) -> Output:
        """Run one stream's batch through the network on its own, so that BatchNorm sees one domain at a time.

        Args:
            name: of the stream.
            batch: `x`, an activation (b, ...), `index` (b,) and, for labelled streams, `y` (b,).

        Raises:
            LandbridgeError: the batch has one sample, and a BatchNorm layer that trains needs more.
        """
        inputs = batch["x"]
        if inputs.depth == 0:
            # Rendered on the device that trains, because raw bytes are faster to move than floats.
            rendered = self.network.backbone.format.render(inputs.tensors)
            inputs = Activation(
                0, tuple(each.to(self.dtype) if each.is_floating_point() else each for each in rendered)
            )
        try:
            features, logits = self.network_for(name)(inputs)
        except ValueError as error:
            if len(inputs) > 1:
                raise
            message = f"a batch of one sample ({name}) has no statistics for BatchNorm: raise data.batch_size"
            raise LandbridgeError(message) from error
        # Mixed precision gives outputs in half precision, but losses need full precision.
        return Output(name, features.to(self.dtype), logits.to(self.dtype), batch["index"], batch.get("y"))

    @torch.no_grad()
    def encode_whole(self, name: str, stream: Stream | None = None) -> Output:
        """Encode a whole stream in the order of its samples, in evaluation mode. The mode stays evaluation.

        Args:
            name: of the stream.
            stream: its samples; None takes the training stream of that name.
        """
        self.eval()
        batches = self.data.in_order(name, stream)
        return Output.cat(
            [self.encode(name, self.transfer_batch_to_device(batch, self.device, 0)) for batch in batches]
        )
