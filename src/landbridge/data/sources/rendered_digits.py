"""Digits rendered from fonts with random variation: a simulated source with any number of labelled images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt, MinLen
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.special import ndtr

from landbridge.data.domain import Domain, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.sources.digits import DIGITS
from landbridge.errors import LandbridgeError

SIZE = 28  # height and width of an image, in pixels
HEIGHT = 20  # height and width of the square in the image that a digit fills, as in MNIST, in pixels
FINE = 4  # cells of a glyph's distance field per pixel and axis
EDGE = 0.4  # width of an edge without blur, as the standard deviation of a Gaussian, in pixels

#: The DejaVu fonts that have digits. The fixed render uses the first.
DEJAVU = (
    *(f"DejaVuSans{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}.ttf" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
)


@dataclass(frozen=True)
class Ranges:
    """Limits of the random variation of each image, which is uniform. If all are 0, images do not vary.

    Attributes:
        font: probability that the font is drawn from all fonts, in [0, 1]; otherwise the first font is used.
        zoom: largest change of size in either direction: the factor lies between 1 / (1 + zoom) and 1 + zoom.
        rotation: largest angle in either direction, in degrees.
        shear: largest slant in either direction, in degrees.
        shift: largest shift in either direction, as a share of height and of width.
        thickness: largest change of the thickness of strokes in either direction, in pixels.
        blur: largest standard deviation of the Gaussian that softens edges, in pixels.
        contrast: largest share of the contrast that is lost, in [0, 1].
        noise: largest standard deviation of Gaussian noise, as a share of the range of values.
    """

    font: Annotated[float, Ge(0), Le(1)] = 0.0
    zoom: Annotated[float, Ge(0)] = 0.0
    rotation: Annotated[float, Ge(0), Le(180)] = 0.0
    shear: Annotated[float, Ge(0), Lt(90)] = 0.0
    shift: Annotated[float, Ge(0)] = 0.0
    thickness: Annotated[float, Ge(0)] = 0.0
    blur: Annotated[float, Ge(0)] = 0.0
    contrast: Annotated[float, Ge(0), Le(1)] = 0.0
    noise: Annotated[float, Ge(0)] = 0.0

    def __mul__(self, strength: float) -> "Ranges":
        """Multiply all limits by one factor; 0 gives the fixed render."""
        return Ranges(**{limit: strength * value for limit, value in asdict(self).items()})


FIXED = Ranges()


def rendered_digits(
    name: str = "rendered_digits",
    fonts: Annotated[Sequence[str], MinLen(1)] | None = None,
    ranges: Ranges = FIXED,
    strength: Annotated[float, Ge(0)] = 1.0,
    per_class: Annotated[int, Gt(0)] = 350,
    val_per_class: Annotated[int, Gt(0)] = 50,
    test_per_class: Annotated[int, Gt(0)] = 100,
    seed: Annotated[int, Ge(0)] = 0,
    frozen_seed: Annotated[int, Ge(0)] = 0,
) -> Domain:
    """Render the digits 0 to 9 in MNIST's layout: light on dark, in 20 x 20 pixels centred by mass in 28 x 28.

    With `ranges`, this is domain randomisation (Tobin et al., 2017, arXiv:1703.06907): if the simulator varies enough,
    real images look like one more variation. Without `ranges`, every digit is rendered in one way. This is the baseline
    for domain randomisation.

    All images are rendered before training, and `per_class` sets their number. The number of steps of a run does not
    depend on the size of its source. To render every image anew in every pass, set `per_class` to the number of images
    per class that the run reads in all. For the default, this is 7,000: twenty passes over 350 images.

    Args:
        name: name of the domain.
        fonts: font files that Pillow reads (`.ttf`, `.otf`); the fixed render uses the first. None takes the twelve
            DejaVu fonts that come with matplotlib.
        ranges: limits of the random variation; by default, all images of a class are the same.
        strength: factor for all limits: 0 gives the fixed render, and values above 1 widen `ranges`.
        per_class: training images of each class; the default is the number in `mnist_5k`.
        val_per_class: validation images of each class.
        test_per_class: test images of each class.
        seed: seed of the training images.
        frozen_seed: seed of the validation and test images. They depend neither on `seed` nor on `per_class`.

    Raises:
        LandbridgeError: a font cannot be read, or has no digits.
    """
    fields = np.stack([_distance_fields(path) for path in (map(Path, fonts) if fonts else _dejavu())])
    images, positions, start = [], {}, 0
    sizes = {"train": (per_class, seed), "val": (val_per_class, frozen_seed), "test": (test_per_class, frozen_seed)}
    for number, (split, (count, own_seed)) in enumerate(sizes.items()):
        digits = np.arange(len(DIGITS) * count) % len(DIGITS)
        images.append(render(fields, digits, ranges * strength, np.random.default_rng([own_seed, number])))
        positions[split] = torch.arange(start, start + len(digits))
        start += len(digits)
    inputs = TensorInputs(torch.from_numpy(np.concatenate(images))[:, None])
    return domain_from_positions(name, DIGITS, inputs, torch.arange(start) % len(DIGITS), positions, "digits")


def render(fields: np.ndarray, digits: np.ndarray, ranges: Ranges, rng: np.random.Generator) -> np.ndarray:
    """Render digits, each with a random variation within the ranges.

    The random numbers of an image do not depend on the ranges. With the same generator, wider ranges therefore give
    the same variation, but a stronger one.

    Args:
        fields: each font's distance fields (fonts, 10, side, side).
        digits: from 0 to 9 (n,).
        ranges: limits of the random variation.
        rng: random number generator.

    Returns:
        uint8 images (n, 28, 28).
    """
    n, side = len(digits), fields.shape[-1]

    def share() -> np.ndarray:
        return rng.random((n, 1, 1))

    def either_way(limit: float) -> np.ndarray:
        return limit * (2 * share() - 1)

    font = np.where(share() < ranges.font, rng.integers(len(fields), size=(n, 1, 1)), 0)
    factor = np.exp(either_way(np.log1p(ranges.zoom)))
    angle, slant = np.radians(either_way(ranges.rotation)), np.tan(np.radians(either_way(ranges.shear)))
    right, down = (SIZE * either_way(ranges.shift) for _ in range(2))
    thicker, blur = either_way(ranges.thickness), ranges.blur * share()
    contrast, noise = 1 - ranges.contrast * share(), ranges.noise * share()

    # Map each pixel of the image to its place on the glyph. Coordinates are relative to the centres of both.
    down, right = (np.arange(SIZE) - (SIZE - 1) / 2)[:, None] - down, np.arange(SIZE) - (SIZE - 1) / 2 - right
    row = np.cos(angle) * down - np.sin(angle) * right
    column = np.cos(angle) * right + np.sin(angle) * down + slant * row
    glyph = np.broadcast_to(len(DIGITS) * font + digits[:, None, None], row.shape)
    cells = [glyph, *(FINE * place / factor + (side - 1) / 2 for place in (row, column))]
    distance = factor * map_coordinates(fields.reshape(-1, side, side), cells, order=1, mode="nearest")

    # A Gaussian blur turns a straight edge into the Gaussian's distribution function of the distance from the edge.
    light = ndtr((distance + thicker / 2) / np.hypot(EDGE, blur)) * contrast
    light += noise * rng.standard_normal(light.shape)
    return (255 * light.clip(0, 1)).round().astype(np.uint8)


def _dejavu() -> list[Path]:
    # matplotlib comes with mlxtend. Its import is slow, so it is imported only where it is needed.
    import matplotlib

    return [Path(matplotlib.get_data_path(), "fonts/ttf", name) for name in DEJAVU]


def _distance_fields(path: Path) -> np.ndarray:
    """Return, for a font's ten digits, the distances from the edge in pixels: above 0 inside, below 0 outside."""
    try:
        font = ImageFont.truetype(path.expanduser(), 8 * HEIGHT)
    except OSError as error:
        raise LandbridgeError(f"rendered_digits: the font {path} cannot be read ({error})") from error
    fields = [_distance_field(font, digit) for digit in DIGITS]
    # A font shows the same box, or nothing, for all characters that it lacks.
    if len({field.tobytes() for field in fields}) < len(DIGITS):
        raise LandbridgeError(f"rendered_digits: the font {path} does not have ten different digits")
    return np.stack(fields)


def _distance_field(font: ImageFont.FreeTypeFont, digit: str) -> np.ndarray:
    canvas = Image.new("L", (16 * HEIGHT, 16 * HEIGHT))
    ImageDraw.Draw(canvas).text((4 * HEIGHT, 4 * HEIGHT), digit, fill=255, font=font)
    glyph = np.asarray(ImageOps.contain(canvas.crop(canvas.getbbox()), (FINE * HEIGHT, FINE * HEIGHT))) > 127
    if not glyph.any():
        return np.zeros((FINE * SIZE, FINE * SIZE))
    inside = np.pad(glyph, [(FINE * SIZE - size,) * 2 for size in glyph.shape])
    within, beyond = (np.asarray(distance_transform_edt(part)) for part in (inside, ~inside))
    distance = np.where(inside, within - 0.5, 0.5 - beyond) / FINE
    top, left = (round(centre - (FINE * SIZE - 1) / 2) for centre in np.argwhere(inside).mean(0))
    return distance[top : top + FINE * SIZE, left : left + FINE * SIZE]
