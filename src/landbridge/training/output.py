"""The input of a strategy's loss: the network's outputs for a stream, and the labels if the stream has them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from landbridge.errors import LandbridgeError


@dataclass
class Output:
    """The network's outputs for one batch of one stream.

    Attributes:
        stream: name of the stream.
        features: (b, d).
        logits: outputs of the head (b, outputs); for a classification, logits of the classes.
        index: positions of the samples in their stream (b,).
        weights: weights of the samples in the loss on labels (b,); None if all count alike. If images were mixed, the
            share of a sample in its image is a factor of its weight.
        other: if images were mixed, the labels of each sample's partner (b, ...).
        other_weights: if images were mixed, the weights of the partners (b,).
    """

    stream: str
    features: Tensor
    logits: Tensor
    index: Tensor
    _y: Tensor | None = field(default=None, repr=False)
    weights: Tensor | None = field(default=None, repr=False)
    other: Tensor | None = field(default=None, repr=False)
    other_weights: Tensor | None = field(default=None, repr=False)

    @property
    def y(self) -> Tensor:
        """Labels of the task (b, ...).

        Raises:
            LandbridgeError: the stream is unlabelled, or its images are mixed.
        """
        if self._y is None:
            raise LandbridgeError(f"the stream {self.stream} carries no labels: read labels from another stream")
        if self.other is not None:
            raise LandbridgeError(f"the images of the stream {self.stream} are mixed: each has two labels, not one")
        return self._y

    @property
    def mixed_labels(self) -> list[tuple[Tensor, Tensor]] | None:
        """The labels (b, ...) and weights (b,) of the samples, and those of their partners; None if not mixed."""
        if self._y is None or self.other is None or self.weights is None or self.other_weights is None:
            return None
        return [(self._y, self.weights), (self.other, self.other_weights)]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything that it has for its samples, by the names of its fields."""
        each = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in each.items() if isinstance(value, Tensor)}

    @classmethod
    def cat(cls, parts: Sequence["Output"]) -> "Output":
        """Join the outputs of one stream's batches in their order. The result has labels if the parts have labels."""
        joined = {name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors}
        return replace(parts[0], **joined)

    def require_rows(self, rows: int, reader: str, why: str = "") -> None:
        """Refuse a batch that is too small for a loss.

        Args:
            rows: the least number of samples that the loss needs.
            reader: name of the loss, for the message.
            why: the reason, for the message. It follows the word "samples" directly.

        Raises:
            LandbridgeError: the batch has fewer samples.
        """
        if len(self.logits) < rows:
            raise LandbridgeError(
                f"{reader} needs batches of at least {rows} samples{why}, but those of {self.stream} have "
                f"{len(self.logits)}: raise data.batch_size"
            )

    def require_row_per_class(self, reader: str) -> None:
        """Refuse a batch with fewer samples than classes; see `require_rows`."""
        self.require_rows(self.logits.shape[1], reader, ", one per class")
