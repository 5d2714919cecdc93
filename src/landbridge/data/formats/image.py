"""Images."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from landbridge.data.formats.format import Format

# ITU-R 601-2 luma weights, which Pillow uses for `convert("L")`.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ImageFormat(Format):
    """Images, resized and normalised to what a backbone wants.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        size: height and width in pixels.
        mean: mean of each channel, on the scale 0 to 1.
        std: standard deviation of each channel, on the scale 0 to 1.
        interpolation: method of resizing, `bilinear` or `bicubic`.
        crop: share of the shorter side that the centre crop of photographs keeps, in (0, 1].
    """

    kind: ClassVar = "image"

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    crop: float = 1.0

    def render(self, raw: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Resize and normalise the one raw tensor; see `normalised`."""
        (images,) = raw
        return (self.normalised(images),)

    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return normalised noise (n, channels, height, width)."""
        return (torch.randn(n, self.channels, *self.size, generator=generator),)

    def normalised(self, raw: Tensor) -> Tensor:
        """Turn raw images into the backbone's input, on the device of the images.

        Args:
            raw: uint8 images (b, c, h, w) with c 1 or 3.

        Returns:
            float32 images (b, channels, height, width), normalised.
        """
        _, scale, shift = _constants(self, raw.device)
        return torch.addcmul(shift, self._resized(raw), scale)

    def fitted(self, raw: Tensor) -> Tensor:
        """Bring raw images to the size and the channels of the format; they stay uint8."""
        return raw if tuple(raw.shape[1:]) == (self.channels, *self.size) else self._resized(raw).round().byte()

    def _resized(self, raw: Tensor) -> Tensor:
        luma, _, _ = _constants(self, raw.device)
        x = raw.float()
        if x.shape[1] > self.channels:
            x = (x * luma).sum(1, keepdim=True)
        if tuple(x.shape[-2:]) != self.size:
            x = interpolate(x, self.size, mode=self.interpolation, antialias=True).clamp_(0, 255)
        return x.expand(-1, self.channels, -1, -1) if x.shape[1] < self.channels else x


@lru_cache(maxsize=64)
def _constants(image: ImageFormat, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    # Stored once per device, because copying these tensors for every batch would make a GPU wait.
    luma, mean, std = (torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (LUMA, image.mean, image.std))
    return luma, 1 / (255 * std), -mean / std
