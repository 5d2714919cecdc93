"""Random views of training samples that are drawn before training, and their keys in the store."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from landbridge.activation_cache.prefix import entry_key
from landbridge.data import augment
from landbridge.data.activations import Activation, CachedActivations, CachedViews
from landbridge.data.augment_policies import Change
from landbridge.data.formats import Format
from landbridge.data.image_changes import EachImage
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream
from landbridge.data.transfer_streams import TransferStreams

#: Number of samples that are augmented at a time. It is no setting: random numbers are drawn for whole batches, so
#: another number would give other views under the same key.
BATCH = 64


@dataclass(frozen=True)
class Draw:
    """One draw of a random view of some samples.

    Attributes:
        view: name of the view.
        augmentation: the random changes that make the view. Its `repr` is a part of the key.
        number: number of the draw, from 0 on.
        seed: seed of the run.
    """

    view: str
    augmentation: Change
    number: int
    seed: int

    def key(self, prefix: str, inputs: Inputs, format: Format | None, how: str) -> str:
        """Return the key under which the activations of this draw are stored; see `entry_key`."""
        return entry_key(prefix, inputs, format, f"{how} {self} {inspect.getsource(augment)}")

    def augmenting(self, inputs: Inputs, device: torch.device) -> Callable[[Activation], Activation]:
        """Return a function that augments one batch of images after the other.

        The function returns activations of later stages unchanged, because they come from images that are already
        augmented. The random numbers depend on the draw and the samples only. They do not depend on the stages that
        will run on the images.
        """
        seed = int(self.key("", inputs, None, ""), 16) % 2**63
        place = "cpu" if isinstance(self.augmentation, EachImage) else device
        generator = torch.Generator(place).manual_seed(seed)

        def augment_raw(x: Activation) -> Activation:
            if x.depth:
                return x
            return Activation(0, (self.augmentation(x.tensors[0].to(device), generator),))

        return augment_raw


def draw_views(
    views: Mapping[str, tuple[str, Change]],
    streams: TransferStreams,
    draws: int,
    take: Callable[[Stream, Draw], CachedActivations],
) -> dict[str, CachedViews]:
    """Draw all views that a strategy reads.

    Args:
        views: by name, the stream and its change; see `Strategy.views_to_draw`.
        streams: the streams of the run.
        draws: number of draws of each view.
        take: returns the activations of one draw.

    Returns:
        The views of each stream, by the stream's name.
    """
    known: dict[str, dict[str, list[CachedActivations]]] = {}
    for view, (of, change) in views.items():
        planned = [Draw(view, change, number, streams.seed) for number in range(draws)]
        known.setdefault(of, {})[view] = [take(streams.training[of], draw) for draw in planned]
    return {name: CachedViews(views) for name, views in known.items()}
