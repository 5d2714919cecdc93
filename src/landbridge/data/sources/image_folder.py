"""A folder of one's own photographs as a domain: one folder per class."""

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from landbridge.data.augment import ImageKind
from landbridge.data.domain import Domain, split_domain
from landbridge.data.image_files import FileInputs
from landbridge.errors import LandbridgeError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

#: What the folders of given splits may be called.
SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def image_folder(
    root: str | None = None,
    name: str | None = None,
    groups: str | None = None,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    test: Annotated[float, Gt(0), Lt(1)] = 0.2,
    split_seed: Annotated[int, Ge(0)] = 0,
    image_kind: ImageKind = "photographs",
) -> Domain:
    """Load `root/CLASS/...` or `root/{train,val,test}/CLASS/...`, where `valid` and `validation` also stand for `val`.

    Splits that come with the folder keep their meaning; those that are missing are carved out of `train`. A folder
    with `train` and `val` alone therefore keeps its `val` for choosing epochs, and its test split is a part of `train`:
    a split that others have chosen by is no honest test. Images of equal content, and of one group, are always in one
    split; where the given splits share some, the test split keeps them, then the validation split.

    Classes are sorted by name. Their folders may have folders in them. Hidden files, and files with another extension
    than `EXTENSIONS`, are passed over. Images are decoded when a batch needs them.

    Args:
        root: the folder.
        name: of the domain; the folder's where None.
        groups: which images must stay together. Either a regular expression with one group, which is searched in each
            path below `root` (`ants/patient07_3.jpg`), such as `(patient[0-9]+)`; or the name of a CSV file, below
            `root` or absolute, with the columns `path` (below `root`, with slashes) and `group`. On the command line,
            Hydra wants quotes around an expression, and the shell around those: `'target.groups="(patient[0-9]+)"'`.
        val: share of `train` that becomes the validation split where none is given, in (0, 1).
        test: share of `train` that becomes the test split where none is given, in (0, 1).
        split_seed: of the carving, which is stratified and depends on nothing but paths below `root` and content.
        image_kind: what the images show, `digits` (letters too) or `photographs`: augmented digits are never mirrored.

    Raises:
        LandbridgeError: there is no such folder, its layout is not one of the two, a class is empty or too small to be
            split, or an image has no group.
    """
    if root is None:
        raise LandbridgeError("image_folder: root is not set; name the folder of images, such as target.root=photos")
    base = Path(root).expanduser().absolute()
    if not base.is_dir():
        raise LandbridgeError(f"image_folder: root={root}: there is no folder {base}")
    splits = _split_folders(base)
    classes = _classes(splits)
    files: list[str] = []
    labels: list[int] = []
    given = {}
    for split, folder in splits.items():
        first = len(files)
        for index, label in enumerate(classes):
            images = _images(folder / label)
            files += images
            labels += [index] * len(images)
        given[split] = torch.arange(first, len(files))
    return split_domain(
        name or base.resolve().name,
        classes,
        FileInputs(files),
        torch.tensor(labels),
        _groups(groups, base, files) if groups else None,
        given=given,
        val=val,
        test=test,
        seed=split_seed,
        image_kind=image_kind,
    )


def _split_folders(base: Path) -> dict[str, Path]:
    """Find the folder of each given split; where there are none, the whole is `train`."""
    names = _folders(base)
    found = [name for name in names if name in SPLIT_FOLDERS]
    others = [name for name in names if name not in SPLIT_FOLDERS]
    # `train` is also a vehicle: beside other classes, one such name makes no splits.
    if len(found) <= 1 and (others or "train" not in found):
        return {"train": base}
    if others:
        raise LandbridgeError(
            f"{base}: holds splits ({', '.join(found)}) beside other folders ({', '.join(others)}); keep one kind"
        )
    splits = {SPLIT_FOLDERS[name]: base / name for name in found}
    if "train" not in splits or len(splits) < len(found):
        raise LandbridgeError(
            f"{base}: holds {', '.join(found)}; given splits are a train, and one val or test or both"
        )
    return splits


def _classes(splits: dict[str, Path]) -> list[str]:
    classes = _folders(splits["train"])
    if len(classes) < 2:
        raise LandbridgeError(
            f"{splits['train']}: holds {len(classes) or 'no'} class folder{'s' * (not classes)}"
            f"{''.join(f' ({name})' for name in classes)}; images belong in one folder per class, two classes or more"
        )
    for split, folder in splits.items():
        theirs = _folders(folder)
        if theirs != classes:
            lacks = ", ".join(sorted(set(classes) - set(theirs))) or "nothing"
            extra = ", ".join(sorted(set(theirs) - set(classes))) or "nothing"
            raise LandbridgeError(f"{folder}: the classes of {split} lack {lacks} of train's, and add {extra} to them")
    return classes


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[str]:
    images = []
    for parent, below, names in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        # Paths as objects would take longer to make than the folder to read.
        shown = (name for name in names if not name.startswith("."))
        images += [f"{parent}{os.sep}{name}" for name in shown if name.lower().endswith(EXTENSIONS)]
    if not images:
        raise LandbridgeError(f"{folder}: this class holds no image ({', '.join(EXTENSIONS)})")
    return sorted(images)


def _groups(setting: str, base: Path, files: Sequence[str]) -> list[str]:
    paths = [Path(file).relative_to(base).as_posix() for file in files]
    groups = _listed(base / setting, paths) if setting.endswith(".csv") else _matched(setting, paths)
    lost = [path for path, group in zip(paths, groups, strict=True) if group is None]
    if lost:
        raise LandbridgeError(f"image_folder: groups={setting} gives no group to {len(lost)} images, such as {lost[0]}")
    return [str(group) for group in groups]


def _listed(table: Path, paths: Sequence[str]) -> list[str | None]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            known = {row["path"]: row["group"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise LandbridgeError(
            f"image_folder: groups={table} is not a CSV file with the columns path and group ({error!r})"
        ) from error
    return [known.get(path) for path in paths]


def _matched(pattern: str, paths: Sequence[str]) -> list[str | None]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LandbridgeError(f"image_folder: groups={pattern} is not a regular expression ({error})") from error
    if compiled.groups != 1:
        raise LandbridgeError(f"image_folder: groups={pattern} has {compiled.groups} groups in parentheses, not one")
    return [match[1] if (match := compiled.search(path)) else None for path in paths]
