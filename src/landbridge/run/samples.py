"""Embeddings and pictures of a few test samples of every domain, saved next to the record for the report."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from landbridge.data.activations import Activation, CachedActivations
from landbridge.data.domain import Domain
from landbridge.data.formats import Format, ImageFormat
from landbridge.data.inputs import Inputs
from landbridge.data.streams import Stream
from landbridge.models.network import Network
from landbridge.record import SAMPLES
from landbridge.tasks import NUMBERS, Task, shown

#: Maximum number of embedded samples of a domain; maximum number of principal components that are kept.
EMBEDDED, DIRECTIONS = 200, 16
#: Maximum number of pictures of wrong predictions, and the length of their longer side in pixels.
PICTURES, PIXELS = 12, 48
BATCH = 64


class Samples:
    """Embeds the same test samples before and after training, and keeps pictures of confident mistakes.

    This class reads inputs only. The final evaluation passes the labels, after it has made all predictions of a domain.

    Args:
        network: the network before training. It is left in evaluation mode.
        domains: the domains by role.
        format: input format of the backbone.
        device: device on which the network runs here. Afterwards the network is moved back to its own device.
        cached: returns cached activations of inputs.
    """

    def __init__(
        self,
        network: Network,
        domains: Mapping[str, Domain],
        format: Format,
        device: torch.device,
        cached: Callable[[Inputs], CachedActivations | None],
    ) -> None:
        self.format = format
        self.positions = {role: _spread(len(domain.splits["test"].inputs)) for role, domain in domains.items()}
        self.tasks = {role: domain.task for role, domain in domains.items()}
        home = next(network.parameters()).device
        network.to(device).eval()
        self._before: dict[str, Tensor] = {}
        for role, where in self.positions.items():
            inputs = domains[role].splits["test"].inputs.select(where)
            self._before[role] = _embed(network, Stream(inputs, format, activations=cached(inputs)), device)
        network.to(home)
        self._after: dict[str, Tensor] = {}
        self._kept: dict[str, np.ndarray] = {}

    def keep(self, role: str, inputs: Inputs, features: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Keep embeddings and pictures of a domain's test split.

        The pictures are those of the most confident mistakes, or of the largest errors in numbers.

        Args:
            role: role of the domain.
            inputs: inputs of the split (n).
            features: features of all samples, in order (n, d).
            logits: logits of the same samples (n, classes).
            labels: labels of the same samples (n, ...).
        """
        self._after[role] = features[self.positions[role]]
        self._kept[f"{role}_positions"] = self.positions[role].numpy()
        if isinstance(self.format, ImageFormat) and (wrong := _wrongness(self.tasks[role], logits, labels)) is not None:
            worst = wrong.argsort(descending=True, stable=True)[:PICTURES]
            worst = worst[wrong[worst] > 0]
            self._kept[f"{role}_mistakes"] = worst.numpy()
            if len(worst):
                self._kept[f"{role}_pictures"] = _small(*inputs.read(worst, self.format)).numpy()

    def write(self, folder: Path) -> None:
        """Write everything that was kept. The file is written completely or not at all."""
        before = _principal(self._before)
        # If only the head was trained, the features are the same as before.
        same = all(features.equal(self._before[role]) for role, features in self._after.items())
        after = before if same else _principal(self._after)
        for moment, both in (("before", before), ("after", after)):
            for role, coordinates in both.items():
                self._kept[f"{role}_{moment}"] = coordinates.numpy().astype(np.float16)
        draft = folder / f".{SAMPLES}"
        with draft.open("wb") as file:
            np.savez_compressed(file, **self._kept)  # type: ignore[arg-type]
        draft.replace(folder / SAMPLES)


def _wrongness(task: Task, outputs: Tensor, labels: Tensor) -> Tensor | None:
    """Return how wrong each prediction is (n,), 0 if it is right or has no label; None for tasks without pictures."""
    if task.has_classes:
        confidence, predicted = outputs.softmax(1).max(1)
        return confidence.where((predicted != labels) & shown(labels), 0.0)
    if NUMBERS in task.gives:
        return -task.sample_scores(outputs, labels).nan_to_num(nan=0.0)
    return None


def _spread(n: int) -> Tensor:
    """Return positions that are spread evenly over a split of n samples."""
    return torch.linspace(0, n - 1, min(n, EMBEDDED)).round().long()


@torch.no_grad()
def _embed(network: Network, stream: Stream, device: torch.device) -> Tensor:
    dtype = next(network.parameters()).dtype

    def features(where: Tensor) -> Tensor:
        x = stream.read(where)["x"].to(device)
        tensors = network.backbone.format.render(x.tensors) if x.depth == 0 else x.tensors
        # With mixed precision, activations are cached in half precision. This forward pass needs the weights' type.
        x = Activation(x.depth, tuple(each.to(dtype) if each.is_floating_point() else each for each in tensors))
        return network(x)[0].float().cpu()

    return torch.cat([features(where) for where in torch.arange(len(stream.inputs)).split(BATCH)])


def _principal(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return coordinates (n, up to 16) along the principal components of all domains together.

    The coordinates are scaled so that the largest absolute value is 1.
    """
    together = torch.cat(list(features.values())).double()
    together = together - together.mean(0)
    left, sizes, _ = torch.linalg.svd(together, full_matrices=False)
    coordinates = left[:, :DIRECTIONS] * sizes[:DIRECTIONS]
    coordinates = coordinates / coordinates.abs().max().clamp_min(1e-12)
    return dict(zip(features, coordinates.split([len(each) for each in features.values()]), strict=True))


def _small(images: Tensor) -> Tensor:
    """Shrink uint8 images (n, c, h, w) to pictures (n, h, w, c) whose longer side is at most `PIXELS` pixels."""
    scale = PIXELS / max(images.shape[-2:])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in images.shape[-2:]]
        images = interpolate(images.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).byte()
    return images.permute(0, 2, 3, 1)
