"""Digits rendered from fonts, each in a way of its own: a simulated source of as many labelled images as one likes."""

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

SIZE = 28  # height and width of an image, and
HEIGHT = 20  # of the square in it that a digit fills, as in MNIST; in pixels.
FINE = 4  # cells of a glyph's distance field per pixel and axis
EDGE = 0.4  # width of an edge that is not blurred, as the standard deviation of a Gaussian; in pixels

#: The faces of DejaVu that have digits; the first is the one of the fixed render.
DEJAVU = (
    *(f"DejaVuSans{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}.ttf" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}.ttf" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
)


@dataclass(frozen=True)
class Ranges:
    """Limits within which each image's way of being rendered is drawn, uniformly; where all are 0, all are alike.

    Attributes:
        font: probability that the font is drawn from all fonts, in [0, 1]; otherwise it is the first.
        zoom: largest change of size either way: the factor lies between 1 / (1 + zoom) and 1 + zoom.
        rotation: largest angle either way, in degrees.
        shear: largest slant either way, in degrees.
        shift: largest shift either way, as a share of height and of width.
        thickness: largest change of the strokes' thickness either way, in pixels.
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
        """Widen or narrow all ranges alike; 0 leaves the fixed render."""
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

    With `ranges`, this is domain randomisation (Tobin et al., 2017, arXiv:1703.06907): where the simulator varies
    enough, reality looks like one more variation. Without, every digit is rendered in one way, the baseline that it is
    compared with. Images are drawn before training, and `per_class` says how many. A run has the same number of steps
    whatever the size of its source, so that as many images per class as it reads in all, such as 7,000 for the twenty
    passes of the default over 350, are what drawing every image anew in every pass would be.

    Args:
        name: of the domain.
        fonts: files of fonts that Pillow reads (`.ttf`, `.otf`), the first for the fixed render; None takes the twelve
            faces of DejaVu that come with matplotlib.
        ranges: of the randomisation; without it, all images of a class are the same.
        strength: what all ranges are multiplied by: 0 is the fixed render, above 1 is wider than `ranges` says.
        per_class: training images of each class; by default as many as `mnist_5k` has.
        val_per_class: validation images of each class.
        test_per_class: test images of each class.
        seed: of how the training images are rendered.
        frozen_seed: of how validation and test images are rendered, so that `seed` and `per_class` leave them alone.

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
    """Render digits, each in a way that is drawn within the ranges.

    The same generator gives each image the same place within any ranges, so that wider ones exaggerate it.

    Args:
        fields: each font's distance fields (fonts, 10, side, side).
        digits: from 0 to 9 (n,).
        ranges: of the randomisation.
        rng: what is drawn from.

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

    # From each pixel back to where it lies on the glyph, both seen from their centres.
    down, right = (np.arange(SIZE) - (SIZE - 1) / 2)[:, None] - down, np.arange(SIZE) - (SIZE - 1) / 2 - right
    row = np.cos(angle) * down - np.sin(angle) * right
    column = np.cos(angle) * right + np.sin(angle) * down + slant * row
    glyph = np.broadcast_to(len(DIGITS) * font + digits[:, None, None], row.shape)
    cells = [glyph, *(FINE * place / factor + (side - 1) / 2 for place in (row, column))]
    distance = factor * map_coordinates(fields.reshape(-1, side, side), cells, order=1, mode="nearest")

    # A straight edge under a Gaussian blur is the Gaussian's distribution function of the distance from it.
    light = ndtr((distance + thicker / 2) / np.hypot(EDGE, blur)) * contrast
    light += noise * rng.standard_normal(light.shape)
    return (255 * light.clip(0, 1)).round().astype(np.uint8)


def _dejavu() -> list[Path]:
    # It comes with mlxtend, and its import costs a moment that other domains should not pay.
    import matplotlib

    return [Path(matplotlib.get_data_path(), "fonts/ttf", name) for name in DEJAVU]


def _distance_fields(path: Path) -> np.ndarray:
    """Measure, around each of a font's ten digits, how far inside it (or, below 0, outside) a place lies, in pixels."""
    try:
        font = ImageFont.truetype(path.expanduser(), 8 * HEIGHT)
    except OSError as error:
        raise LandbridgeError(f"rendered_digits: {path} is no font that can be read ({error})") from error
    fields = [_distance_field(font, digit) for digit in DIGITS]
    # A font shows the same box, or nothing, for all that it lacks.
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
