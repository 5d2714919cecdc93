"""Turns what a caller has in memory into inputs: images, arrays, tensors, texts, rows and data frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from landbridge.data.formats import ImageFormat, VectorFormat
from landbridge.data.image_files import raw_image
from landbridge.data.inputs import Inputs, TensorInputs
from landbridge.data.text_inputs import TextInputs
from landbridge.errors import LandbridgeError
from landbridge.predict.finished_run import FinishedRun

#: Numbers of channels that an image may have: grey, RGB, and RGB with transparency.
CHANNELS = (1, 3, 4)


def inputs_of(given: Any, run: FinishedRun) -> Inputs:
    """Return the samples that a caller gives as inputs of a run's network.

    Args:
        given: for images, a uint8 tensor (n, c, h, w), a uint8 array (n, h, w), (n, h, w, c), (h, w) or (h, w, c), or
            images of Pillow; for vectors, an array or a tensor of numbers (n, d) or (d,), mappings from column to
            number, or a data frame; for texts, strings.
        run: the finished run.

    Raises:
        LandbridgeError: this is no input of that kind, or its shape or type is wrong.
    """
    if run.format.kind == "text":
        return _texts(given)
    if run.format.kind == "vector":
        return _vectors(given, run)
    return _images(given, run)


def _texts(given: Any) -> Inputs:
    texts = [given] if isinstance(given, str) else list(given)
    if wrong := [each for each in texts if not isinstance(each, str)]:
        raise LandbridgeError(f"this model takes texts, and got {_kind(wrong[0])}; give strings, or paths of tables")
    return TextInputs(texts)


def _vectors(given: Any, run: FinishedRun) -> Inputs:
    assert isinstance(run.format, VectorFormat)
    given = _plain(given, run.inputs.get("columns", []))
    try:
        numbers = np.asarray(given, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise LandbridgeError(f"this model takes numbers, and {_kind(given)} does not hold them ({error})") from error
    return TensorInputs(torch.from_numpy(finite(np.atleast_2d(numbers), run.format.width, "the samples")))


def _plain(given: Any, columns: list[str]) -> Any:
    """Return rows by column and data frames as plain numbers, in the order of the model's columns."""
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        require_columns(list(given.columns), columns, "the data frame")
        return given[columns].to_numpy()
    if isinstance(given, Tensor):
        return given.detach().cpu().numpy()
    rows = [given] if isinstance(given, Mapping) else given
    if not (isinstance(rows, Sequence) and rows and isinstance(rows[0], Mapping)):
        return rows
    for number, row in enumerate(rows):
        require_columns(list(row), columns, f"row {number}")
    return [[row[column] for column in columns] for row in rows]


def finite(numbers: np.ndarray, width: int, where: str) -> np.ndarray:
    """Return vectors as contiguous float32 (n, width), or refuse them.

    Raises:
        LandbridgeError: the width differs, or a number is not finite.
    """
    if numbers.ndim != 2 or numbers.shape[1] != width:
        held = f"{numbers.shape[1]} numbers each" if numbers.ndim == 2 else f"the shape {numbers.shape}"
        raise LandbridgeError(f"{where} have {held}, and this model takes {width} numbers a sample")
    with np.errstate(over="ignore"):  # a value that is too large for 32 bits is refused below
        numbers = np.array(numbers, dtype=np.float32, order="C")  # a tensor needs memory that can be written
    if len(wrong := np.argwhere(~np.isfinite(numbers))):
        row, column = wrong[0].tolist()
        raise LandbridgeError(f"{where} hold {numbers[row, column]} in row {row}, column {column}: no finite number")
    return numbers


def require_columns(there: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse a table that lacks columns.

    Raises:
        LandbridgeError: the model knows no columns, or some are missing.
    """
    if not wanted:
        raise LandbridgeError("the run was not trained on named columns; give the numbers as an array (n, d)")
    if missing := [column for column in wanted if column not in there]:
        raise LandbridgeError(
            f"{where} lacks {len(missing)} of the {len(wanted)} columns that this model takes: "
            f"{', '.join(missing[:8])}{', ...' if len(missing) > 8 else ''}"
        )


def _images(given: Any, run: FinishedRun) -> Inputs:
    assert isinstance(run.format, ImageFormat)
    if isinstance(given, Image.Image):
        given = [given]
    if isinstance(given, Sequence) and given and all(isinstance(each, Image.Image) for each in given):
        return TensorInputs(torch.stack([_raw(each, run) for each in given]))
    if isinstance(given, Sequence) and given and all(isinstance(each, np.ndarray | Tensor) for each in given):
        parts = [_images(each, run) for each in given]
        return TensorInputs(torch.cat([part.read(torch.arange(len(part)), run.format)[0] for part in parts]))
    if isinstance(given, np.ndarray):
        given = _channels_first(given)
    if not isinstance(given, Tensor):
        raise LandbridgeError(f"this model takes images, and got {_kind(given)}; give paths, arrays or tensors")
    if given.ndim == 3:
        given = given.unsqueeze(0)
    if given.dtype != torch.uint8 or given.ndim != 4 or given.shape[1] not in CHANNELS:
        raise LandbridgeError(
            f"images are uint8 of the shape (n, c, h, w) in tensors and (n, h, w, c) in arrays, with values from 0 to "
            f"255; this is {str(given.dtype).removeprefix('torch.')} of the shape {tuple(given.shape)}"
        )
    images = given.detach().cpu()[:, :3]
    if not _trained_on_files(run):
        return TensorInputs(images)
    return TensorInputs(torch.stack([_raw(_as_pillow(each), run) for each in images]))


def _raw(image: Image.Image, run: FinishedRun) -> Tensor:
    """Bring an image of Pillow to the size of the network, as the run did with its files."""
    assert isinstance(run.format, ImageFormat)
    if _trained_on_files(run):
        return raw_image(image.copy(), run.format, run.reading)
    pixels = torch.from_numpy(np.array(image.convert("L" if run.format.channels == 1 else "RGB")))
    return run.format.fitted(pixels.view(1, *pixels.shape[:2], -1).permute(0, 3, 1, 2))[0]


def _trained_on_files(run: FinishedRun) -> bool:
    # Photographs are resized by Pillow and cropped; images in memory are only resized, by torch.
    return run.inputs.get("files", False)


def _as_pillow(image: Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))


def _channels_first(array: np.ndarray) -> Tensor:
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3 and array.shape[-1] not in CHANNELS:
        array = array[..., None]
    return torch.from_numpy(np.array(array, order="C")).movedim(-1, -3)


def _kind(given: Any) -> str:
    shape = f" of the shape {tuple(given.shape)}" if hasattr(given, "shape") else ""
    return f"{type(given).__name__}{shape}"
