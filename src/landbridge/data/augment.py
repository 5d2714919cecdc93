"""Random changes of images that keep the class. They are drawn per sample, on the training device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

#: What the images of a domain show. This selects the augmentations.
ImageKind = Literal["digits", "photographs"]


@dataclass(frozen=True)
class Augmentation:
    """Limits of random changes. The changes of each sample are drawn within these limits.

    Attributes:
        rotation: largest angle in either direction, in degrees.
        shift: largest shift in either direction, as a share of height and of width.
        zoom: largest change of size in either direction: the factor lies between 1 / (1 + zoom) and 1 + zoom.
        flip: whether half of the images are mirrored, left to right.
        brightness: largest relative change of all values.
        contrast: largest relative change of the distances from the image's mean.
        saturation: largest relative change of the distances from grey.
        noise: largest standard deviation of Gaussian noise, as a share of the range of values.
        erase: side of a square that is set to mid-grey, as a share of height and of width (Cutout).
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    erase: float = 0.0

    def __call__(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Change a batch of images.

        Args:
            raw: uint8 images (b, c, h, w).
            generator: random number generator on the same device; None takes torch's global one.

        Returns:
            float32 images (b, c, h, w) with values from 0 to 255, on the same device.
        """
        x = raw.float() / 255
        size, device = len(x), x.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, device=device, generator=generator)

        def draw(limit: float) -> Tensor:
            return limit * (2 * uniform(size) - 1)

        if self.rotation or self.shift or self.zoom or self.flip:
            angle = draw(math.radians(self.rotation))
            factor = torch.exp(draw(math.log1p(self.zoom)))
            mirror = uniform(size) < 0.5 if self.flip else torch.zeros_like(angle, dtype=torch.bool)
            x = warp(x, angle, factor, torch.stack([draw(self.shift), draw(self.shift)], dim=1), mirror)
        if self.brightness or self.contrast or self.saturation:
            x = recolour(x, 1 + draw(self.brightness), 1 + draw(self.contrast), 1 + draw(self.saturation))
        if self.noise:
            x = x + _per_image(self.noise * uniform(size)) * torch.empty_like(x).normal_(generator=generator)
        if self.erase:
            x = erase(x, uniform(size, 2), self.erase)
        return 255 * x.clamp(0, 1)


def warp(x: Tensor, angle: Tensor, factor: Tensor, shift: Tensor, mirror: Tensor) -> Tensor:
    """Mirror, rotate and resize images about their centre, and then shift them.

    Areas that become empty are filled with the pixels of the image's edge.

    Args:
        x: floating point (b, c, h, w).
        angle: angles in radians, clockwise (b,).
        factor: factors of the size; above 1 enlarges (b,).
        shift: shifts to the right and downwards, as shares of width and of height (b, 2).
        mirror: which images are mirrored left to right (b,).
    """
    height, width = x.shape[-2:]
    side = 1 - 2 * mirror.to(x.dtype)
    cosine, sine = torch.cos(angle) / factor, torch.sin(angle) / factor
    # `affine_grid` needs the inverse map, from the new pixels to the old ones, in coordinates from -1 to 1.
    linear = torch.stack(
        [
            torch.stack([side * cosine, side * sine * height / width], dim=1),
            torch.stack([-sine * width / height, cosine], dim=1),
        ],
        dim=1,
    )
    theta = torch.cat([linear, -linear @ (2 * shift)[:, :, None]], dim=2)
    grid = affine_grid(theta, list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def recolour(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Scale all values, then their distances from the image's mean, then their distances from grey.

    Args:
        x: (b, c, h, w).
        brightness: a factor for each image (b,).
        contrast: a factor for each image (b,).
        saturation: a factor for each image (b,); it has no effect on images with one channel.
    """
    x = x * _per_image(brightness)
    x = torch.lerp(x.mean(dim=(1, 2, 3), keepdim=True), x, _per_image(contrast))
    return torch.lerp(x.mean(dim=1, keepdim=True), x, _per_image(saturation))


def erase(x: Tensor, centre: Tensor, side: float) -> Tensor:
    """Set a square to mid-grey (DeVries & Taylor, 2017, arXiv:1708.04552).

    Parts of the square outside the image are ignored.

    Args:
        x: images with values from 0 to 1 (b, c, h, w).
        centre: centres of the squares, as shares of width and height (b, 2).
        side: side of the squares, as a share of width and height.
    """
    column, row = ((torch.arange(size, device=x.device) + 0.5) / size for size in (x.shape[-1], x.shape[-2]))
    inside = [(where - centre[:, axis, None]).abs() < side / 2 for axis, where in enumerate((column, row))]
    return x.masked_fill((inside[1][:, :, None] & inside[0][:, None, :])[:, None], 0.5)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


@dataclass(frozen=True)
class Views:
    """The weak and the strong augmentation that consistency methods apply to an image."""

    weak: Augmentation
    strong: Augmentation


#: Digits are neither mirrored nor rotated strongly, because this can change their class.
VIEWS: Mapping[ImageKind, Views] = {
    "digits": Views(
        weak=Augmentation(shift=0.05),
        strong=Augmentation(rotation=15, shift=0.1, zoom=0.2, brightness=0.3, contrast=0.5, noise=0.1),
    ),
    "photographs": Views(
        weak=Augmentation(shift=0.125, flip=True),
        strong=Augmentation(
            rotation=20, shift=0.125, zoom=0.3, flip=True, brightness=0.4, contrast=0.4, saturation=0.4, erase=0.3
        ),
    ),
}
