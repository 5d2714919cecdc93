"""Raw samples that are read in whole batches, and the input format of a backbone."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

# ITU-R 601-2 luma weights, the ones that Pillow uses for `convert("L")`.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class InputSpec:
    """The input format of a backbone.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        size: height and width in pixels.
        mean: mean of each channel, on the scale 0 to 1.
        std: standard deviation of each channel, on the scale 0 to 1.
        interpolation: method of resizing, `bilinear` or `bicubic`.
        crop: share of the shorter side that the centre crop of photographs keeps, in (0, 1].
    """

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    crop: float = 1.0

    def render(self, raw: Tensor) -> Tensor:
        """Turn raw images into the backbone's input, on the device of the images.

        Args:
            raw: uint8 images (b, c, h, w) with c 1 or 3.

        Returns:
            float32 images (b, channels, height, width), normalised.
        """
        luma, scale, shift = _constants(self, raw.device)
        x = raw.float()
        if x.shape[1] > self.channels:
            x = (x * luma).sum(1, keepdim=True)
        if tuple(x.shape[-2:]) != self.size:
            x = interpolate(x, self.size, mode=self.interpolation, antialias=True).clamp_(0, 255)
        if x.shape[1] < self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        return torch.addcmul(shift, x, scale)


@lru_cache(maxsize=64)
def _constants(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    # Stored once per device, because copying these tensors for every batch would make a GPU wait.
    luma, mean, std = (torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (LUMA, spec.mean, spec.std))
    return luma, 1 / (255 * std), -mean / std


class Inputs(ABC):
    """Raw samples without labels, read a batch at a time."""

    #: (c, h, w) for images, with h = w = 0 if sizes differ between samples; (d,) for vectors.
    shape: tuple[int, ...]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def read(self, indices: Tensor, spec: InputSpec | None) -> Tensor:
        """Read a batch.

        Args:
            indices: int64 positions (b,).
            spec: input format of the backbone; files are decoded to its size. None for vectors.

        Returns:
            uint8 images (b, c, h, w), or float32 vectors (b, d).
        """

    @abstractmethod
    def select(self, indices: Tensor) -> "Inputs":
        """Return the samples at the given positions as a new object."""

    @abstractmethod
    def hashes(self) -> Sequence[str]:
        """Return one hash of content per sample."""


class TensorInputs(Inputs):
    """Samples in memory, as one tensor.

    Args:
        tensor: uint8 images (n, c, h, w) or float32 vectors (n, d).
        hashes: hashes of the samples' contents, if they are already known.
    """

    def __init__(self, tensor: Tensor, hashes: Sequence[str] | None = None) -> None:
        if tensor.dtype not in (torch.uint8, torch.float32):
            raise TypeError(f"samples must be uint8 images or float32 vectors, not {tensor.dtype}")
        self.tensor = tensor.contiguous()
        self.shape = tuple(tensor.shape[1:])
        self._hashes = None if hashes is None else list(hashes)

    def __len__(self) -> int:
        return len(self.tensor)

    def read(self, indices: Tensor, spec: InputSpec | None) -> Tensor:
        """Return the samples at the given positions unchanged."""
        return self.tensor[indices]

    def select(self, indices: Tensor) -> "TensorInputs":
        """Return a copy of the samples at the given positions, with their hashes if these are known."""
        hashes = self._hashes and [self._hashes[index] for index in indices.tolist()]
        return TensorInputs(self.tensor[indices], hashes)

    def hashes(self) -> list[str]:
        """Return a hash of each sample's bytes."""
        if self._hashes is None:
            rows = self.tensor.numpy()
            self._hashes = [hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows]
        return self._hashes
