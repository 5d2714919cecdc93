"""The features of all samples that the members of a pack train on, each sample once, in memory."""

import torch
from torch import Tensor

from landbridge.data.activations import Activation
from landbridge.data.streams import Stream
from landbridge.models.backbones.backbone import Backbone


class Features:
    """Features of a frozen backbone, in a row for each sample. Members with the same backbone share them."""

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._parts: list[Tensor] = []

    def on(self, device: torch.device) -> Tensor:
        """Return all rows (n, d) on a device."""
        if len(self._parts) > 1 or self._parts[0].device != device:
            self._parts = [torch.cat([part.to(device) for part in self._parts])]
        return self._parts[0]

    def add(self, stream: Stream, backbone: Backbone) -> Tensor:
        """Return the row of each sample of a stream (n,); read the samples that are not here yet.

        Args:
            stream: reads the outputs of the backbone from the cache, or inputs that the backbone passes on.
            backbone: has no stage that trains.
        """
        names = [each.tobytes() for each in stream.inputs.hashes().content]
        new = [position for position, name in enumerate(names) if name not in self._rows]
        # Copies are read once.
        firsts = {names[position]: position for position in reversed(new)}
        if firsts:
            positions = torch.tensor(sorted(firsts.values()))
            before = len(self._rows)
            self._rows |= {names[position]: before + row for row, position in enumerate(positions.tolist())}
            self._parts.append(read(stream, backbone, positions))
        return torch.tensor([self._rows[name] for name in names])


@torch.no_grad()
def read(stream: Stream, backbone: Backbone, positions: Tensor) -> Tensor:
    """Return the features of some samples of a stream (m,), which are in the cache, as (m, d)."""
    x: Activation = stream.read(positions)["x"]
    if x.depth == 0:
        x = Activation(0, backbone.format.render(x.tensors))
    return backbone.finish(x).to(torch.float32, copy=True)


def are_ready(stream: Stream, backbone: Backbone) -> bool:
    """Return whether the features of a stream can be read, and need no computation."""
    if not backbone.stages:
        return True
    return stream.activations is not None and stream.activations.depth == len(backbone.stages)
