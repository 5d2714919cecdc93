"""Transforms of torchvision that are applied to every image of a batch, with random numbers from a generator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms import v2


@contextmanager
def drawing_from(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let torch's global generators continue from a seed that a generator draws, and restore them afterwards.

    Transforms of torchvision draw from the global generators. Dropout and others draw from them too, and their numbers
    must not depend on the augmentation.

    Args:
        generator: draws the seed; None leaves the global generators as they are.
        device: the device of the images.
    """
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class EachImage:
    """Applies a transform of torchvision to each image. On a batch, it would draw one change for all images.

    Attributes:
        transform: the transform of an image (c, h, w).
        version: version of torchvision, as a part of the name of cached views.
    """

    transform: nn.Module
    version: str = torchvision.__version__

    def __call__(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Change a batch of images (b, c, h, w)."""
        with drawing_from(generator, raw.device):
            return torch.stack([self.transform(image) for image in raw])


@dataclass(frozen=True)
class InTurn:
    """Applies several changes one after the other."""

    changes: tuple[Callable[[Tensor, torch.Generator | None], Tensor], ...]

    def __call__(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Change a batch of images (b, c, h, w)."""
        for change in self.changes:
            raw = change(raw, generator)
        return raw


class Crop(nn.Module):
    """A random crop that is resized to the image's own size.

    Args:
        area: smallest share of the area that the crop keeps, in (0, 1].
    """

    def __init__(self, area: float) -> None:
        super().__init__()
        self.area = area

    def extra_repr(self) -> str:
        """Return the setting, which is a part of the name of cached views."""
        return f"area={self.area}"

    def forward(self, image: Tensor) -> Tensor:
        """Crop one image (c, h, w)."""
        return v2.RandomResizedCrop(list(image.shape[-2:]), scale=(self.area, 1.0), antialias=True)(image)
