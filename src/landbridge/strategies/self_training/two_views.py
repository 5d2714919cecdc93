"""The base of strategies that look at random views of images: hardly changed, or much."""

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from landbridge.data.activations import Activation
from landbridge.data.formats import ImageFormat
from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import CLASSES, Requirements


class TwoViews(Strategy, ABC):
    """A strategy that learns from weakly or strongly augmented images.

    What is changed follows from what a domain's images show; see `landbridge.data.augment`. Views are drawn anew in
    every step. With `cache.views=v` they are drawn v times before training, frozen stages run on them once, and every
    pass over a stream chooses one draw for each sample: cheaper, less varied, and therefore with other results.

    Args:
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors, which cannot be augmented.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, tasks=CLASSES, reads_inputs=True
    )
    #: What it looks at in a step: by the name of a view, which stream it shows, and how that is augmented.
    views: ClassVar[Mapping[str, tuple[str, Literal["weak", "strong"]]]]

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        format = self.network.backbone.format
        if not isinstance(format, ImageFormat):
            raise LandbridgeError(
                f"strategy {type(self).__name__} augments images, but the backbone takes {format.kind} inputs: "
                "choose a strategy without augmentation, such as pseudo_label"
            )
        self.format = format

    def with_views(self, batch: dict[str, Batch]) -> dict[str, Batch]:
        """Return a batch with views by their names, in the place of the streams that they show or beside them."""
        views = {}
        for name, (of, kind) in self.views.items():
            if of in batch:
                x = batch[of]["x"]
                views[name] = batch[of] | {"x": x[name]} if isinstance(x, dict) else self.augmented(kind, of, batch[of])
        return batch | views

    def augmented(self, kind: Literal["weak", "strong"], name: str, batch: Batch) -> Batch:
        """Return a stream's batch with its images augmented."""
        views = self.data.streams.augmentations[name]
        (images,) = batch["x"].tensors
        return batch | {"x": Activation(0, (getattr(views, kind)(images),))}
