"""Random views of training samples that are drawn before training, and their keys in the store."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from landbridge.activation_cache.forward import Forward
from landbridge.activation_cache.prefix import ordered_key
from landbridge.activation_cache.run_store import RunStore
from landbridge.activation_cache.store import Rows
from landbridge.data import augment
from landbridge.data.activations import Activation, CachedActivations, CachedViews
from landbridge.data.augment_policies import Change
from landbridge.data.digests import Digests
from landbridge.data.formats import Format
from landbridge.data.image_changes import EachImage
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError

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
        """Return the key under which the activations of this draw are stored; see `ordered_key`."""
        return ordered_key(prefix, inputs, format, f"{how} {self} {inspect.getsource(augment)}")

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


class Drawing:
    """Draws views and computes their activations, or finds them in the store.

    Args:
        store: keeps the rows.
        keys: the hash of the first stages, for each depth from 0 on; the last depth is the one that is read.
        forward: runs stages.
        data: reads samples in batches.
    """

    def __init__(self, store: RunStore, keys: Sequence[str], forward: Forward, data: TransferData) -> None:
        self.store = store
        self.keys = keys
        self.forward = forward
        self.data = data

    def views(
        self, views: Mapping[str, tuple[str, Change]], streams: TransferStreams, draws: int
    ) -> dict[str, CachedViews]:
        """Return cached activations of all views that a strategy reads, by the name of the stream.

        Args:
            views: by name, the stream and its change; see `Strategy.views_to_draw`.
            streams: the streams of the run.
            draws: number of draws of each view.

        Raises:
            LandbridgeError: the activations cannot be written. The run stops, because its results would differ.
        """
        known: dict[str, dict[str, list[CachedActivations]]] = {}
        try:
            for view, (of, change) in views.items():
                planned = [Draw(view, change, number, streams.seed) for number in range(draws)]
                known.setdefault(of, {})[view] = [self._take(streams.training[of], draw) for draw in planned]
        except OSError as error:
            raise LandbridgeError(f"cache.views={draws}: no room in {self.store.store.root}: {error}") from error
        return {name: CachedViews(views) for name, views in known.items()}

    def _take(self, stream: Stream, draw: Draw) -> CachedActivations:
        """Return cached activations of one draw of a view; compute them if they are missing.

        The views of all samples are drawn one after the other, so the rows of an entry are known by their number.
        """
        rows, depth = Digests.numbered(len(stream.inputs)), len(self.keys) - 1
        key = partial(draw.key, inputs=stream.inputs, format=stream.format, how=self.forward.how)

        def compute(_: Tensor) -> Iterator[Rows]:
            shallower = (
                self.store.store.find(key(self.keys[each]), rows).activations(each) for each in range(depth - 1, 0, -1)
            )
            known = next((each for each in shallower if each), stream.activations)
            loader = self.data.in_order("cache", replace(stream, activations=known), BATCH)
            outputs = self.forward.over(loader, depth, draw.augmenting(stream.inputs, self.forward.device))
            for number, tensors in enumerate(outputs):
                yield rows[number * BATCH : (number + 1) * BATCH], tensors

        known = self.store.take(key(self.keys[depth]), rows, compute).activations(depth)
        assert known is not None
        return known
