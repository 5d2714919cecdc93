"""The base of strategies that look at every image twice: once hardly changed, and once much."""

from abc import ABC
from typing import Any, ClassVar, Literal

from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy


class TwoViews(Strategy, ABC):
    """A strategy that demands the same prediction for a weakly and a strongly augmented image.

    What is changed follows from what a domain's images show; see `landbridge.data.augment`.

    Args:
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors, which cannot be augmented.
    """

    reads_inputs: ClassVar = True

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        spec = self.network.backbone.spec
        if spec is None:
            raise LandbridgeError(
                f"strategy {type(self).__name__} augments images, but the backbone takes vectors: "
                "choose a strategy without augmentation, such as pseudo_label"
            )
        self.spec = spec

    def view(self, kind: Literal["weak", "strong"], name: str, batch: Batch) -> Batch:
        """Return a stream's batch with its images augmented."""
        views = self.data.views[name]
        return batch | {"x": getattr(views, kind)(batch["x"])}
