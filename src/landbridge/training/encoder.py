"""A LightningModule that runs batches of streams through its network."""

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
        #: Number of samples that were encoded in training steps so far; each view of a sample counts.
        self.passes = 0

    @property
    def data(self) -> TransferData:
        """The data module of the trainer."""
        return cast(Any, self.trainer).datamodule

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the network that encodes a stream.

        By default all streams have the same network, and the stream `source` has the source's head if there is one. A
        strategy with a second network overrides this method. The frozen stages of both networks must be equal.
        """
        return self.network.for_source if name == "source" and self.network.source else self.network

    def encode(self, name: str, batch: Batch) -> Output:
        """Run the batch of one stream through the network.

        Streams are encoded separately, so that the batch statistics of BatchNorm come from one domain.

        Args:
            name: name of the stream.
            batch: `x`, an activation (b, ...), `index` (b,) and, for labelled streams, `y` (b,) and `weights` (b,).

        Raises:
            LandbridgeError: the batch has one sample, and a BatchNorm layer in training mode needs more.
        """
        inputs = batch["x"]
        if inputs.depth == 0:
            # Raw samples are rendered on the device that trains, because moving bytes is faster than moving floats.
            rendered = self.network.backbone.format.render(inputs.tensors)
            inputs = Activation(
                0, tuple(each.to(self.dtype) if each.is_floating_point() else each for each in rendered)
            )
        try:
            features, logits = self.network_for(name)(inputs)
        except ValueError as error:
            if len(inputs) > 1:
                raise
            message = f"a batch of one sample ({name}) has no statistics for BatchNorm: raise data.batch_size above 1"
            raise LandbridgeError(message) from error
        self.passes += len(inputs) if self.training else 0
        # Losses need full precision, but mixed precision returns half precision.
        return Output(
            name,
            features.to(self.dtype),
            logits.to(self.dtype),
            batch["index"],
            *map(batch.get, ("y", "weights", "other", "other_weights")),
        )

    @torch.no_grad()
    def encode_whole(self, name: str, stream: Stream | None = None) -> Output:
        """Encode a whole stream in the order of its samples, in evaluation mode.

        The module stays in evaluation mode afterwards.

        Args:
            name: name of the stream.
            stream: its samples. None means the training stream of that name.
        """
        self.eval()
        batches = self.data.in_order(name, stream)
        return Output.cat(
            [self.encode(name, self.transfer_batch_to_device(batch, self.device, 0)) for batch in batches]
        )
