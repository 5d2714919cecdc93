"""What a strategy's loss is given of a stream: the network's outputs, and labels only where the stream has them."""

from dataclasses import dataclass, field

from torch import Tensor

from landbridge.errors import LandbridgeError


@dataclass
class Output:
    """The network's outputs for one batch of one stream.

    Attributes:
        stream: its name.
        features: (b, d).
        logits: (b, classes).
        index: positions of the samples in their stream (b,).
    """

    stream: str
    features: Tensor
    logits: Tensor
    index: Tensor
    _y: Tensor | None = field(default=None, repr=False)

    @property
    def y(self) -> Tensor:
        """Class indices (b,).

        Raises:
            LandbridgeError: the stream is unlabelled.
        """
        if self._y is None:
            raise LandbridgeError(f"the stream {self.stream} carries no labels")
        return self._y
