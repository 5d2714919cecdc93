"""Metrics that are updated batch by batch."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shown:
    """A metric that tables and reports show, with what they must know to compare and write its values.

    Attributes:
        title: its name on the page.
        is_share: whether its values are shares of 1. They are written in %, and their differences in points.
        lower: whether lower values are better. Those of a leading metric must be higher.
        top: the best value, if values near it can be compared by absolute differences; None if there is none.
    """

    title: str
    is_share: bool = False
    lower: bool = False
    top: float | None = None


class Metrics(ABC):
    """Metrics of one test split."""

    @abstractmethod
    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: of the network (b, outputs), on any device.
            y: labels (b, ...), none of them hidden as a whole.
        """

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """Return every metric by name: numbers, and mappings from names of classes to numbers."""


@contextmanager
def undefined_classes() -> Iterator[None]:
    """Hide the warnings of torchmetrics about classes without positive or negative samples.

    Metrics name such classes under `undefined`, and no mean counts them, so a warning adds nothing.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No (positive|negative) samples", UserWarning)
        yield


class Mean:
    """A mean over samples, summed in double precision."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, values: Tensor) -> None:
        """Add the values of some samples (n,)."""
        self.total += float(values.double().sum())
        self.count += len(values)

    def value(self) -> float:
        """Return the mean; nan without samples."""
        return self.total / self.count if self.count else float("nan")


class CalibrationError:
    """The expected calibration error over 15 equally wide bins of confidence (Guo et al., 2017, arXiv:1706.04599).

    Bins are open to the left. torchmetrics counts a confidence of 1, which floats reach often, as a bin of its own.
    """

    bins = 15

    def __init__(self) -> None:
        self.gaps = torch.zeros(self.bins + 1, dtype=torch.double)
        self.count = 0

    def add(self, confidence: Tensor, right: Tensor) -> None:
        """Add some samples.

        Args:
            confidence: the largest probability (n,), in [0, 1].
            right: whether the prediction is right (n,).
        """
        confidence = confidence.double().cpu()
        gaps = right.double().cpu() - confidence
        self.gaps += torch.bincount((confidence * self.bins).ceil().long(), weights=gaps, minlength=self.bins + 1)
        self.count += len(confidence)

    def value(self) -> float:
        """Return the error, in [0, 1]; nan without samples."""
        return float(self.gaps.abs().sum() / self.count) if self.count else float("nan")


def mean_of(values: Tensor) -> float:
    """Return the mean of some values (k,) in double precision; nan without any."""
    return float(values.double().mean()) if len(values) else float("nan")
