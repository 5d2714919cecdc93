"""A file of vectors as a domain: precomputed features or tables of numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt

from landbridge.data.domain import Domain
from landbridge.data.inputs import TensorInputs
from landbridge.data.prior import Prior
from landbridge.data.split_domain import split_domain
from landbridge.data.splits import SPLITS
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, Regression, Task

OPTIONAL = ("split", "groups", "classes")

#: Endings of tables, which are the domain `table`.
TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")


def vectors(
    file: str | None = None,
    name: str | None = None,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    test: Annotated[float, Gt(0), Lt(1)] = 0.2,
    split_seed: Annotated[int, Ge(0)] = 0,
    stratify: bool = False,
    prior: Prior | None = None,
    task: Literal["classification", "regression"] | None = None,
) -> Domain:
    """Load a `.npz` file of numpy with `x`, numbers (n, d), and `y`: classes (n,), or numbers (n,) or (n, k).

    `y` of text or whole numbers are classes. `y` of other numbers, or with several columns, makes a regression.

    Vectors are not changed. In particular, they are not standardised, because this would need the statistics of one
    or both domains. If standardised vectors are needed, standardise them before writing the file.

    Three more arrays are optional. `split` (n,) holds `train`, `val` or `test` for each sample: given splits are kept,
    and missing splits are taken from `train`. `groups` (n,) holds the group of each sample: a group stays in one split,
    and so do vectors of equal content. `classes` (k,) holds the names of the classes; `y` then holds positions in
    `classes`, from 0 to k - 1. Without `classes`, the classes are the distinct values of `y`, sorted.

    Args:
        file: the file.
        name: name of the domain; None takes the name of the file without its ending.
        val: share of `train` that becomes the validation split if none is given, in (0, 1).
        test: share of `train` that becomes the test split if none is given, in (0, 1).
        split_seed: seed of the choice of samples for missing splits.
        stratify: whether every class has equal shares of the splits that are made, which reads all labels.
        prior: class shares to which the domain is sub-sampled before it is split: a number from 1 on, how many times
            the first class of a long tail is as frequent as the last; or the share of each class, as a list in the
            order of the classes or by class name. None: all samples.
        task: what is predicted; None: as `y` says. The label -1 beside others than 1 is a class only if this is set,
            because it often marks samples without a label.

    Raises:
        LandbridgeError: the file does not exist, one of its arrays is missing or invalid, a number is not finite, or a
            class is too small to be split.
    """
    if file is None:
        raise LandbridgeError("vectors: file is not set; set it to the .npz file, such as target.file=features.npz")
    path = Path(file).expanduser()
    arrays = _read(path)
    x = _samples(path, arrays["x"])
    numbers = _are_numbers(path, arrays["y"], task, len(x))
    for key in ("split", "groups") if numbers else ("y", "split", "groups"):
        if key in arrays and arrays[key].shape != (len(x),):
            raise LandbridgeError(
                f"{path}: {key} has the shape {arrays[key].shape}, not ({len(x)},): one entry for each row of x"
            )
    if numbers:
        labels = arrays["y"].reshape(len(x), -1).astype(np.float32)
        what: Task = Regression(("y",) if labels.shape[1] == 1 else tuple(f"y{i}" for i in range(labels.shape[1])))
    else:
        classes, labels = _classes(path, arrays["y"], arrays.get("classes"), minus_one=task is not None)
        what = Classification(tuple(classes))
    return split_domain(
        name or path.stem,
        what,
        TensorInputs(torch.from_numpy(x)),
        torch.from_numpy(labels),
        arrays["groups"].tolist() if "groups" in arrays else None,
        given=_given(path, arrays["split"]) if "split" in arrays else None,
        val=val,
        test=test,
        seed=split_seed,
        stratify=stratify,
        prior=prior,
    )


def _require_archive(path: Path) -> None:
    """Refuse what is not a `.npz` file, and say what the file is for."""
    if not path.exists():
        raise LandbridgeError(f"vectors: file={path}: there is no such file")
    if path.is_dir():
        inside = sorted(file.name for file in path.glob("*.npz"))
        mend = f"name a file in it, such as {inside[0]}" if inside else "a folder of images is target=image_folder"
        raise LandbridgeError(f"vectors: file={path} is a folder, not a file; {mend}")
    if not path.is_file():
        # Reading a pipe or a device would wait for ever.
        raise LandbridgeError(f"vectors: file={path} is not a file with content, but a pipe or a device")
    ending = path.suffix.lower()
    if ending in TABLES:
        raise LandbridgeError(
            f"vectors: file={path} is a table, not a .npz file; use target=table target.file={path} "
            f"target.numbers=all target.label=..."
        )
    if ending == ".npy":
        raise LandbridgeError(
            f"vectors: file={path} holds one array; save samples and labels together: numpy.savez('{path.stem}.npz', "
            f"x=x, y=y)"
        )


def _read(path: Path) -> Mapping[str, np.ndarray]:
    _require_archive(path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in ("x", "y", *OPTIONAL) if key in archive}
            found = ", ".join(archive) or "nothing"
    except Exception as error:  # numpy's parsers raise errors of many classes
        raise LandbridgeError(
            f"{path}: cannot be read as a .npz file of plain arrays ({type(error).__name__}: {error})"
        ) from error
    if missing := [key for key in ("x", "y") if key not in arrays]:
        raise LandbridgeError(
            f"{path}: holds {found}, but lacks {' and '.join(missing)}; it needs x and y, and may have "
            f"{', '.join(OPTIONAL)}"
        )
    return arrays


def _samples(path: Path, x: np.ndarray) -> np.ndarray:
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiu":
        raise LandbridgeError(
            f"{path}: x holds {x.dtype} of the shape {x.shape}; it must hold numbers of the shape (n, d)"
        )
    with np.errstate(over="ignore"):  # values that are too large for 32 bits are reported below
        x = x.astype(np.float32)
    if len(wrong := np.argwhere(~np.isfinite(x))):
        row, column = wrong[0]
        raise LandbridgeError(
            f"{path}: {len(wrong)} numbers in x are not finite as 32-bit floats; the first is {x[row, column]} at "
            f"[{row}, {column}]"
        )
    return x


def _are_numbers(path: Path, y: np.ndarray, task: str | None, n: int) -> bool:
    """Return whether `y` holds numbers to predict, and not classes."""
    if y.dtype.kind not in "fiu" or task == "classification":
        if task == "regression":
            raise LandbridgeError(f"{path}: task=regression needs numbers in y, which holds {y.dtype}")
        return False
    whole = y.dtype.kind in "iu" or bool((y == np.round(y)).all())
    numbers = task == "regression" or y.ndim == 2 or (not whole and bool(np.isfinite(y).all()))
    if numbers and (y.ndim not in (1, 2) or len(y) != n):
        raise LandbridgeError(f"{path}: y has the shape {y.shape}, not ({n},) or ({n}, k): one row for each row of x")
    if numbers and not np.isfinite(y).all():
        row = np.argwhere(~np.isfinite(y))[0][0]
        raise LandbridgeError(f"{path}: y holds numbers that are not finite, first in row {row}")
    return numbers


def _classes(path: Path, y: np.ndarray, names: np.ndarray | None, minus_one: bool) -> tuple[list[str], np.ndarray]:
    """Return the names of the classes, and for each label its position among them.

    Unless `minus_one` is true, the label -1 is refused beside other labels than 1, because it may mark samples without
    a label.
    """
    whole = y.dtype.kind in "iub" or (y.dtype.kind == "f" and bool((np.isfinite(y) & (y == np.round(y))).all()))
    if not whole and y.dtype.kind != "U":
        raise LandbridgeError(f"{path}: y holds {y.dtype}; it must hold whole numbers or text")
    values, labels = np.unique(y.astype(np.int64) if whole else y, return_inverse=True)
    if names is not None:
        if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) < len(names):
            raise LandbridgeError(f"{path}: classes must be one row of different names")
        if not whole or (len(values) and not 0 <= values[0] <= values[-1] < len(names)):
            raise LandbridgeError(
                f"{path}: classes has {len(names)} names, so y must hold whole numbers from 0 to {len(names) - 1}, but "
                f"it holds {values[0]} and {values[-1]}"
            )
        values, labels = names, values[labels]
    elif whole and not minus_one and values[0] == -1 and values.tolist() != [-1, 1]:
        raise LandbridgeError(
            f"{path}: y holds -1 for {int((y == -1).sum())} samples; leave them out if they have no label, or set "
            f"target.task=classification if -1 is a class"
        )
    if len(values) < 2:
        raise LandbridgeError(f"{path}: y has {len(values)} classes; two or more are needed")
    return [str(value) for value in values], labels


def _given(path: Path, split: np.ndarray) -> dict[str, torch.Tensor]:
    names = set(split.tolist())
    if strange := sorted(map(repr, names - set(SPLITS))):
        raise LandbridgeError(f"{path}: split holds {', '.join(strange[:3])}; valid: {', '.join(SPLITS)}")
    if "train" not in names:
        raise LandbridgeError(f"{path}: split assigns no sample to train")
    return {name: torch.from_numpy(np.flatnonzero(split == name)) for name in SPLITS if name in names}
