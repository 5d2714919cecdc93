"""The base of strategies that train on weakly or strongly augmented views of images."""

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from landbridge.data.activations import Activation
from landbridge.data.augment import Augmentation
from landbridge.data.augment_policies import Change
from landbridge.data.formats import ImageFormat
from landbridge.data.streams import Batch
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.augmented import generator_of

#: `augment`: the configured change of labelled images. `weak` and `strong`: the method's own changes.
Kind = Literal["augment", "weak", "strong"]


class TwoViews(Strategy, ABC):
    """A strategy that trains on weakly or strongly augmented images.

    Labelled images are changed as `augment` says, unless a method defines a strong view of them. The other views are
    its own, and depend on the content of a domain's images; see `landbridge.data.augment`. By default a view is
    drawn for every sample in every step. With `cache.views=v`, v views of every sample are drawn before training, and
    the frozen stages run once on each of them. Every pass over a stream then chooses one of the v views for each
    sample. This is faster, but the views vary less, so the results are different.

    Args:
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors, which cannot be augmented.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"},
        optional_streams={"target"},
        needs={ONE_CLASS},
        reads_inputs=True,
        takes_mixed_labels=False,
    )
    #: The views of a step. For each name of a view: the augmented stream, and the kind of augmentation.
    views: ClassVar[Mapping[str, tuple[str, Kind]]]

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        format = self.network.backbone.format
        if not isinstance(format, ImageFormat):
            raise LandbridgeError(
                f"strategy {type(self).__name__} augments images, but the backbone takes {format.kind} inputs: "
                "choose a strategy without augmentation, such as pseudo_label"
            )
        self.format = format

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Return the batch as it is, because strong views are made from unchanged images."""
        return batch

    def views_to_draw(self, streams: TransferStreams) -> dict[str, tuple[str, Change]]:
        """Return the method's views, by name; see `Strategy`."""
        return {
            name: (of, _change(streams, of, kind) or Augmentation())
            for name, (of, kind) in self.views.items()
            if of in streams.training
        }

    def with_views(self, batch: dict[str, Batch]) -> dict[str, Batch]:
        """Return a batch with all views added. A view with the name of a stream replaces this stream."""
        views = {}
        for name, (of, kind) in self.views.items():
            if of in batch:
                x = batch[of]["x"]
                views[name] = batch[of] | {"x": x[name] if isinstance(x, dict) else self.augmented(name, of, kind, x)}
        return batch | views

    def augmented(self, name: str, of: str, kind: Kind, x: Activation) -> Activation:
        """Return the images of a stream, changed for a view.

        Args:
            name: name of the view.
            of: name of the stream.
            kind: kind of the change.
            x: the images.
        """
        change = _change(self.data.streams, of, kind)
        if change is None:
            return x
        (images,) = x.tensors
        # The method's own views have always been drawn from the global generator.
        generator = None
        if not isinstance(change, Augmentation):
            numbers = self.data.streams.seed, self.batches_seen, self.global_rank
            generator = generator_of(change, images.device, *numbers, name=name)
        return Activation(0, (change(images, generator),))


def _change(streams: TransferStreams, of: str, kind: Kind) -> Change | None:
    return streams.changes.get(of) if kind == "augment" else getattr(streams.augmentations[of], kind)
