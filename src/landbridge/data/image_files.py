"""Images that stay in their files until a batch needs them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from landbridge.data.content_hashes import content_hashes
from landbridge.data.formats import Format, ImageFormat
from landbridge.data.inputs import Inputs
from landbridge.errors import LandbridgeError


class FileInputs(Inputs):
    """Images in files of any size, decoded batch by batch by whichever process reads them.

    Args:
        paths: of the files, one a sample.
        hashes: of the files' content, where they are known already.
    """

    # Sizes differ from file to file, and every file can be read as RGB.
    shape = (3, 0, 0)
    kind = "image"

    def __init__(self, paths: Sequence[str], hashes: Sequence[str] | None = None) -> None:
        self.paths = list(paths)
        self._hashes = None if hashes is None else list(hashes)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Tensor, format: Format | None) -> tuple[Tensor, ...]:
        """Decode a batch to the size and channels that a backbone wants.

        Raises:
            LandbridgeError: a file cannot be read as an image.
        """
        if not isinstance(format, ImageFormat):
            raise ValueError("image files are decoded to an image format, and there is none")
        batch = torch.empty(len(indices), format.channels, *format.size, dtype=torch.uint8)
        for row, index in zip(batch, indices.tolist(), strict=True):
            row.copy_(decode(self.paths[index], format))
        return (batch,)

    def select(self, indices: Tensor) -> "FileInputs":
        """Return the files at the given positions, with their hashes where these are known."""
        chosen = indices.tolist()
        hashes = self._hashes and [self._hashes[index] for index in chosen]
        return FileInputs([self.paths[index] for index in chosen], hashes)

    def hashes(self) -> list[str]:
        """Return a hash of each file's bytes; see `content_hashes`.

        Raises:
            LandbridgeError: a file cannot be opened.
        """
        if self._hashes is None:
            self._hashes = content_hashes(self.paths)
        return self._hashes


def decode(path: str, format: ImageFormat) -> Tensor:
    """Read an image the way it is meant to be looked at, with the centre that a backbone wants.

    The shorter side (the tighter one, where the wanted size is no square) becomes `size / crop` pixels, of which the
    centre is kept: to the pixel what torchvision's `Resize` and `CenterCrop` do to a Pillow image, in one step. Pixels
    of 16 bits are brought down to 8.

    Args:
        path: of the file.
        format: size, channels, crop and interpolation.

    Returns:
        uint8 image (channels, height, width).

    Raises:
        LandbridgeError: the file cannot be read as an image.
    """
    height, width = format.size
    mode = "L" if format.channels == 1 else "RGB"
    # JPEG decodes at 1/2, 1/4 or 1/8 of its size at a fraction of the cost. Twice the size that is needed leaves enough
    # pixels for the filter that resizes.
    enough = math.ceil(2 * max(height, width) / format.crop)
    try:
        with Image.open(path) as file:
            file.draft("L" if mode == "L" else None, (enough, enough))
            ImageOps.exif_transpose(file, in_place=True)
            image = _eight_bits(file).convert(mode)
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them stumble over
        raise LandbridgeError(f"{path}: cannot be read as an image ({error})") from error
    image = image.resize(
        (width, height), Image.Resampling[format.interpolation.upper()], box=_centre(image.size, format)
    )
    return torch.from_numpy(np.array(image)).view(height, width, -1).permute(2, 0, 1)


def _centre(whole: tuple[int, int], format: ImageFormat) -> tuple[float, float, float, float]:
    """Return the box of an image (width, height) that shows after resizing and cropping: left, upper, right, lower."""
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
    # Pillow itself would clip 16-bit values at 255, and warn of palettes with transparency.
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits have no known range: save it with 8 or 16 bits")
    return image.convert("RGBA") if "transparency" in image.info else image
