"""Images that are decoded from their files only when a batch needs them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from landbridge.data.content_hashes import MEMOS, content_hashes
from landbridge.data.digests import Digests
from landbridge.data.formats import Format, ImageFormat
from landbridge.data.inputs import Inputs
from landbridge.data.texts import Texts
from landbridge.errors import LandbridgeError

#: How an image gets the size of a backbone; see `Reading`.
Resize = Literal["crop", "squash", "pad"]

#: Formats whose pixels Pillow may return as 32-bit integers, but in the range of 16 bits.
SCALED_TO_16_BITS = ("PNG", "PPM")


@dataclass(frozen=True)
class Reading:
    """How a file becomes an image of the size that a backbone takes.

    Attributes:
        resize: `crop`: the shorter side is resized, and the centre is kept. `squash`: the whole image is resized to the
            size, without regard to its proportions. `pad`: the whole image is resized in its proportions, and the rest
            is black.
        invert: whether bright becomes dark, before anything is padded.
    """

    resize: Resize = "crop"
    invert: bool = False

    def __str__(self) -> str:
        return ("" if self.resize == "crop" else self.resize) + " inverted" * self.invert


AS_THEY_ARE = Reading()


class FileInputs(Inputs):
    """Images of any size in files. Each batch is decoded in the process that reads it.

    Args:
        paths: paths of the files, one per sample; they are kept as one block of bytes.
        hashes: hashes of the files' contents, if they are already known.
        how: how files become images of one size.
        memos: folder in which hashes are kept for other processes; None: none are kept.
    """

    # Sizes differ between files, and every file can be read as RGB.
    shape = (3, 0, 0)
    kind = "image"

    def __init__(
        self,
        paths: Sequence[str],
        hashes: Digests | None = None,
        how: Reading = AS_THEY_ARE,
        memos: str | None = MEMOS,
    ) -> None:
        self.paths = paths if isinstance(paths, Texts) else Texts.of(paths)
        self.how = how
        self.memos = memos
        self._hashes = hashes

    @property
    def reading(self) -> str:
        """How files become images, if this differs from the default."""
        return str(self.how)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Tensor, format: Format | None) -> tuple[Tensor, ...]:
        """Decode a batch to the size and the channels of a backbone.

        Raises:
            LandbridgeError: a file cannot be read as an image.
        """
        if not isinstance(format, ImageFormat):
            raise ValueError("image files need an image format, which sets the size to decode to")
        batch = torch.empty(len(indices), format.channels, *format.size, dtype=torch.uint8)
        for row, index in zip(batch, indices.tolist(), strict=True):
            row.copy_(decode(self.paths[index], format, self.how))
        return (batch,)

    def select(self, indices: Tensor) -> "FileInputs":
        """Return the files at the given positions, with their hashes if these are known."""
        hashes = None if self._hashes is None else self._hashes.select(indices)
        return FileInputs(self.paths.select(indices), hashes, self.how, self.memos)

    def hashes(self) -> Digests:
        """Return a hash of each file's bytes; see `content_hashes`.

        Raises:
            LandbridgeError: a file cannot be opened.
        """
        if self._hashes is None:
            self._hashes = content_hashes(self.paths, self.memos)
        return self._hashes

    def ids(self) -> list[str]:
        """Return the path of each file."""
        return list(self.paths)

    def describe(self) -> dict[str, Any]:
        """Describe the images: those in files are resized and cropped in another way than those in memory."""
        return super().describe() | {"files": True} | ({} if self.how == AS_THEY_ARE else asdict(self.how))


def decode(path: str, format: ImageFormat, how: Reading = AS_THEY_ARE) -> Tensor:
    """Read an image in its upright orientation, at the size of a backbone.

    With `crop`, the shorter side becomes `size / crop` pixels, and the centre is kept. If the target size is not a
    square, the side that limits the crop counts in place of the shorter side. The kept area is, to the pixel, the one
    that torchvision's `Resize` and `CenterCrop` keep of a Pillow image, but here both are one step. Pixels of 16 bits
    are reduced to 8. Of several frames, the first is read.

    Args:
        path: path of the file.
        format: size, channels, crop and interpolation.
        how: how the image gets the size.

    Returns:
        uint8 image (channels, height, width).

    Raises:
        LandbridgeError: the file cannot be read as an image.
    """
    # A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, at a fraction of the cost. Twice the needed size leaves
    # enough pixels for the filter that resizes.
    enough = math.ceil(2 * max(format.size) / format.crop)
    try:
        with Image.open(path) as file:
            file.draft("L" if format.channels == 1 else None, (enough, enough))
            return raw_image(file, format, how)
    except Exception as error:  # Pillow's decoders raise errors of many classes for a broken file
        raise LandbridgeError(f"{path}: cannot be read as an image ({error})") from error


def raw_image(image: Image.Image, format: ImageFormat, how: Reading = AS_THEY_ARE) -> Tensor:
    """Turn an image of Pillow upright, and bring it to the size of a backbone; see `decode`.

    Args:
        image: of any size and mode; it is turned in place.
        format: size, channels, crop and interpolation.
        how: how the image gets the size.

    Returns:
        uint8 image (channels, height, width).

    Raises:
        ValueError: pixels have 32 bits.
    """
    height, width = format.size
    ImageOps.exif_transpose(image, in_place=True)
    image = _eight_bits(image).convert("L" if format.channels == 1 else "RGB")
    if how.invert:
        image = ImageOps.invert(image)
    filter = Image.Resampling[format.interpolation.upper()]
    if how.resize == "pad":
        image = ImageOps.pad(image, (width, height), filter)
    else:
        box = None if how.resize == "squash" else _centre(image.size, format)
        image = image.resize((width, height), filter, box=box)
    return torch.from_numpy(np.array(image)).view(height, width, -1).permute(2, 0, 1)


def _centre(whole: tuple[int, int], format: ImageFormat) -> tuple[float, float, float, float]:
    """Return the box (left, upper, right, lower) of an image (width, height) that resizing and cropping keep."""
    height, width = format.size
    across, down = math.floor(width / format.crop), math.floor(height / format.crop)
    if whole[0] * down <= whole[1] * across:
        down = across * whole[1] // whole[0]
    else:
        across = down * whole[0] // whole[1]
    left, upper = round((across - width) / 2), round((down - height) / 2)
    x, y = whole[0] / across, whole[1] / down
    return left * x, upper * y, min((left + width) * x, whole[0]), min((upper + height) * y, whole[1])


def _eight_bits(image: Image.Image) -> Image.Image:
    # Pillow alone would clip 16-bit values at 255, and would warn about palettes with transparency.
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "I" and image.format in SCALED_TO_16_BITS:
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits have no known range; save the image with 8 or 16 bits")
    return image.convert("RGBA") if "transparency" in image.info else image
