"""Data sets with official splits that torchvision can read and download."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from landbridge.data.augment import ImageKind
from landbridge.data.domain import Domain
from landbridge.data.inputs import TensorInputs
from landbridge.data.prior import Prior
from landbridge.data.sources.digits import DIGITS
from landbridge.data.split_domain import split_domain
from landbridge.errors import LandbridgeError


@dataclass(frozen=True)
class TorchvisionDataset:
    """How torchvision provides a data set.

    Attributes:
        reader: name of its class in `torchvision.datasets`.
        files: files that the class reads, below its root.
        classes: class names in the order of the labels.
        arguments: returns the arguments of the class for the training split (True) or for the test split (False).
        image_kind: what the images show; see `landbridge.data.domain.Domain`.
    """

    reader: str
    files: tuple[str, ...]
    classes: tuple[str, ...]
    arguments: Callable[[bool], dict[str, Any]] = lambda train: {"train": train}
    image_kind: ImageKind = "photographs"


def _idx_files(folder: str) -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/raw/{split}-{kind}" for split in ("train", "t10k") for kind in kinds)


_CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")

SOURCES = {
    "mnist": TorchvisionDataset("MNIST", _idx_files("MNIST"), DIGITS, image_kind="digits"),
    "usps": TorchvisionDataset("USPS", ("usps.bz2", "usps.t.bz2"), DIGITS, image_kind="digits"),
    "svhn": TorchvisionDataset(
        "SVHN",
        ("train_32x32.mat", "test_32x32.mat"),
        DIGITS,
        lambda train: {"split": "train" if train else "test"},
        image_kind="digits",
    ),
    "fashion_mnist": TorchvisionDataset(
        "FashionMNIST",
        _idx_files("FashionMNIST"),
        ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": TorchvisionDataset(
        "CIFAR10",
        tuple(f"cifar-10-batches-py/{name}" for name in _CIFAR_FILES),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}


def torchvision_domain(
    dataset: Literal["mnist", "usps", "svhn", "fashion_mnist", "cifar10"],
    root: str = "~/.cache/landbridge",
    name: str | None = None,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    split_seed: Annotated[int, Ge(0)] = 0,
    stratify: bool = False,
    prior: Prior | None = None,
) -> Domain:
    """Load a data set with its official test split. The validation split is taken from the training split.

    Files below `root` are read without a network. If a file is missing, the data set is downloaded.

    Args:
        dataset: name of the data set.
        root: folder that holds the files in torchvision's layout, or to which they are downloaded.
        name: name of the domain; None takes the name of the data set.
        val: share of the official training split that becomes the validation split, in (0, 1).
        split_seed: seed of that split.
        stratify: whether every class has equal shares of the splits that are made, which reads all labels.
        prior: class shares to which the domain is sub-sampled before it is split: a number from 1 on, how many times
            the first class of a long tail is as frequent as the last; or the share of each class, as a list in the
            order of the classes or by class name. None: all samples.

    Raises:
        LandbridgeError: a file is missing and cannot be downloaded, or one cannot be read.
    """
    source, folder = SOURCES[dataset], Path(root).expanduser()
    if not all((folder / file).is_file() for file in source.files):
        _download(dataset, folder)
    try:
        parts = [_samples(_open(source, folder, train)) for train in (True, False)]
    except Exception as error:  # torchvision's readers raise errors of many classes
        raise LandbridgeError(
            f"{dataset}: its files in {folder} cannot be read ({type(error).__name__}: {error}); delete "
            f"{_listed(source)} there, and the next run downloads them again"
        ) from error
    size = len(parts[0][1])
    images, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    given = {"train": torch.arange(size), "test": torch.arange(size, len(labels))}
    inputs = TensorInputs(images)
    return split_domain(
        name or dataset,
        source.classes,
        inputs,
        labels,
        given=given,
        val=val,
        seed=split_seed,
        stratify=stratify,
        prior=prior,
        image_kind=source.image_kind,
    )


def _open(source: TorchvisionDataset, folder: Path, train: bool, download: bool = False) -> Any:
    # Importing torchvision takes a second, so it is imported only where it is needed.
    from torchvision import datasets

    return getattr(datasets, source.reader)(str(folder), download=download, **source.arguments(train))


def _samples(read: Any) -> tuple[Tensor, Tensor]:
    """Return uint8 images (n, c, h, w) and labels (n,), for each layout that torchvision uses."""
    images = torch.as_tensor(read.data)
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    return images, torch.as_tensor(read.labels if hasattr(read, "labels") else read.targets)


def _download(dataset: str, folder: Path) -> None:
    source = SOURCES[dataset]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Files move to their place only when they are complete. Torchvision would read a partial file as the data set,
        # after an interrupted download or while another run downloads the same file.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as draft:
            for train in (True, False):
                _open(source, Path(draft), train, download=True)
            for place in (folder / file for file in source.files):
                if not place.is_file():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    (Path(draft) / place.relative_to(folder)).replace(place)
    except Exception as error:  # no network, no such host, a wrong checksum, a folder that is read-only
        reason = " ".join(str(error).split())
        raise LandbridgeError(
            f"{dataset}: not all of its files are in {folder}, and downloading failed ({reason}); put "
            f"{_listed(source)} there, or set root to the folder that holds them"
        ) from error


def _listed(source: TorchvisionDataset) -> str:
    return ", ".join(source.files)
