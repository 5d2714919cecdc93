"""The base of strategies that train on weakly or strongly augmented views of images."""

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from landbridge.data.activations import Activation
from landbridge.data.formats import ImageFormat
from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS


class TwoViews(Strategy, ABC):
    """A strategy that trains on weakly or strongly augmented images.

    The augmentations depend on the content of a domain's images; see `landbridge.data.augment`. By default a view is
    drawn for every sample in every step. With `cache.views=v`, v views of every sample are drawn before training, and
    the frozen stages run once on each of them. Every pass over a stream then chooses one of the v views for each
    sample. This is faster, but the views vary less, so the results are different.

    Args:
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors, which cannot be augmented.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, needs={ONE_CLASS}, reads_inputs=True
    )
    #: The views of a step. For each name of a view: the augmented stream, and the kind of augmentation.
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
        """Return a batch with all views added. A view with the name of a stream replaces this stream."""
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
