"""Random views of training samples that are drawn before training: which there are, and their keys in the store."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch

from landbridge.activation_cache.prefix import entry_key
from landbridge.data import augment
from landbridge.data.activations import Activation, CachedActivations, CachedViews
from landbridge.data.augment import Augmentation
from landbridge.data.formats import Format
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream
from landbridge.data.transfer_streams import TransferStreams
from landbridge.strategies.self_training.two_views import TwoViews

#: Samples that are augmented at a time. Random numbers are drawn for whole batches, so that no setting may change it.
BATCH = 64


@dataclass(frozen=True)
class Draw:
    """One draw of a random view of some samples.

    Attributes:
        view: its name.
        augmentation: what is random in it.
        number: of the draw, from 0 on.
        seed: of the run.
    """

    view: str
    augmentation: Augmentation
    number: int
    seed: int

    def key(self, prefix: str, inputs: Inputs, format: Format | None, how: str) -> str:
        """Return the key of what stages make of it; see `entry_key`."""
        return entry_key(prefix, inputs, format, f"{how} {self} {inspect.getsource(augment)}")

    def augmenting(self, inputs: Inputs, device: torch.device) -> Callable[[Activation], Activation]:
        """Return what augments one batch of raw images after the other; activations of later stages stay as they are.

        Random numbers depend only on the draw and on the samples, and not on the stages that will read the images.
        """
        seed = int(self.key("", inputs, None, ""), 16) % 2**63
        generator = torch.Generator(device).manual_seed(seed)

        def augment_raw(x: Activation) -> Activation:
            if x.depth:
                return x
            return Activation(0, (self.augmentation(x.tensors[0].to(device), generator),))

        return augment_raw


def draw_views(
    strategy: TwoViews, streams: TransferStreams, draws: int, take: Callable[[Stream, Draw], CachedActivations]
) -> dict[str, CachedViews]:
    """Draw all views that a strategy will look at.

    Args:
        strategy: says which.
        streams: that it looks at.
        draws: of each view.
        take: gives what frozen stages make of one draw.

    Returns:
        the views of each stream, by its name.
    """
    known: dict[str, dict[str, list[CachedActivations]]] = {}
    for view, (of, kind) in strategy.views.items():
        if of in streams.training:
            planned = [
                Draw(view, getattr(streams.augmentations[of], kind), number, streams.seed) for number in range(draws)
            ]
            known.setdefault(of, {})[view] = [take(streams.training[of], draw) for draw in planned]
    return {name: CachedViews(views) for name, views in known.items()}
