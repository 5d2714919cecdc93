"""Small encoders for digits and vectors."""

import math
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, MinLen
from torch import nn

from landbridge.data.formats import Format, ImageFormat, VectorFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import SequentialBackbone

GREY_28 = ImageFormat(channels=1, size=(28, 28), mean=(0.5,), std=(0.5,))


class DigitsCNN(SequentialBackbone):
    """Strided 3 x 3 convolutions with BatchNorm and a bottleneck, for grey images of 28 x 28.

    Args:
        widths: channels of the convolutions; each halves height and width.
        features: width of the bottleneck, which has BatchNorm too.
    """

    def __init__(
        self, widths: Sequence[Annotated[int, Gt(0)]] = (16, 32, 64), features: Annotated[int, Gt(0)] = 64
    ) -> None:
        parts: dict[str, nn.Module] = {}
        channels, side = 1, 28
        for number, width in enumerate(widths, start=1):
            parts[f"conv{number}"] = nn.Sequential(
                nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            channels, side = width, (side + 1) // 2
        parts["bottleneck"] = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side * side, features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(inplace=True),
        )
        super().__init__(parts, GREY_28, features)


class MLP(SequentialBackbone):
    """Fully connected layers with BatchNorm, for vectors, or for grey images of 28 x 28 pixels as vectors.

    Args:
        shape: shape of a raw sample: (d,) for vectors; for any other shape, the inputs are images.
        widths: widths of the layers; the last is the width of the features.
    """

    def __init__(
        self,
        shape: Sequence[Annotated[int, Ge(0)]] = (1, 28, 28),
        widths: Annotated[Sequence[Annotated[int, Gt(0)]], MinLen(1)] = (256, 64),
    ) -> None:
        format: Format = VectorFormat(shape[0]) if len(shape) == 1 else GREY_28
        parts: dict[str, nn.Module] = {}
        width = shape[0] if isinstance(format, VectorFormat) else GREY_28.channels * math.prod(GREY_28.size)
        for number, after in enumerate(widths, start=1):
            parts[f"layer{number}"] = nn.Sequential(
                nn.Flatten(), nn.Linear(width, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(inplace=True)
            )
            width = after
        super().__init__(parts, format, width)


class Identity(SequentialBackbone):
    """Vectors as they are: for a head on numbers, such as the columns of a table. It has no stage.

    Args:
        shape: of a raw sample, (d,).

    Raises:
        LandbridgeError: samples are no vectors.
    """

    def __init__(self, shape: Sequence[Annotated[int, Ge(0)]]) -> None:
        if len(shape) != 1:
            raise LandbridgeError("backbone=identity takes vectors, and the samples are not")
        super().__init__({"identity": nn.Identity()}, VectorFormat(shape[0]), shape[0])
