"""A folder of images as a domain, with one subfolder per class."""

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

#: Valid names of split folders, and the split of each.
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
    """Load `root/CLASS/...` or `root/{train,val,test}/CLASS/...`. Other names for `val` are `valid` and `validation`.

    Splits that come with the folder are kept. Missing splits are taken from `train`. A folder with only `train` and
    `val` therefore keeps its `val` for choosing epochs, and its test split is a part of `train`. The given `val` does
    not become the test split, because others may have used it for selection. Images of equal content, and images of
    one group, are always in one split. If the given splits share such images, the test split keeps them; next in
    priority is the validation split.

    Classes are sorted by name. Class folders may contain further folders. Hidden files, and files with an extension
    that is not in `EXTENSIONS`, are ignored. Images are decoded when a batch needs them.

    Args:
        root: the folder.
        name: name of the domain; None takes the name of the folder.
        groups: which images must stay together. The first option is a regular expression with one group, such as
            `(patient[0-9]+)`. It is searched in each path below `root` (`ants/patient07_3.jpg`). The second option is
            the name of a CSV file, below `root` or absolute, with the columns `path` (below `root`, with slashes) and
            `group`. On the command line, Hydra needs quotes around an expression, and the shell needs quotes around
            those: `'target.groups="(patient[0-9]+)"'`.
        val: share of `train` that becomes the validation split if none is given, in (0, 1).
        test: share of `train` that becomes the test split if none is given, in (0, 1).
        split_seed: seed of the stratified choice of samples for missing splits. In addition to the seed, the choice
            depends only on the paths below `root` and the contents of the files.
        image_kind: what the images show: `digits` (also for letters) or `photographs`. Augmented digits are never
            mirrored.

    Raises:
        LandbridgeError: the folder does not exist, its layout is not one of the two, a class is empty or too small to
            be split, or an image has no group.
    """
    if root is None:
        raise LandbridgeError(
            "image_folder: root is not set; set it to the folder of images, such as target.root=photos"
        )
    base = Path(root).expanduser().absolute()
    if not base.is_dir():
        raise LandbridgeError(f"image_folder: root={root}: there is no folder {base}; name an existing folder")
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
    """Find the folder of each given split. If there are none, the whole folder is `train`."""
    names = _folders(base)
    found = [name for name in names if name in SPLIT_FOLDERS]
    others = [name for name in names if name not in SPLIT_FOLDERS]
    # `train` is also a vehicle. One folder with such a name, next to other classes, is therefore a class.
    if len(found) <= 1 and (others or "train" not in found):
        return {"train": base}
    if others:
        raise LandbridgeError(
            f"{base}: holds splits ({', '.join(found)}) and other folders ({', '.join(others)}); keep one kind"
        )
    splits = {SPLIT_FOLDERS[name]: base / name for name in found}
    if "train" not in splits or len(splits) < len(found):
        raise LandbridgeError(
            f"{base}: holds {', '.join(found)}; valid are one train folder and at most one folder each for val and test"
        )
    return splits


def _classes(splits: dict[str, Path]) -> list[str]:
    classes = _folders(splits["train"])
    if len(classes) < 2:
        raise LandbridgeError(
            f"{splits['train']}: holds {len(classes) or 'no'} class folder{'s' * (not classes)}"
            f"{''.join(f' ({name})' for name in classes)}; put the images into one folder per class, "
            f"for two classes or more"
        )
    for split, folder in splits.items():
        theirs = _folders(folder)
        if theirs != classes:
            lacks = ", ".join(sorted(set(classes) - set(theirs))) or "nothing"
            extra = ", ".join(sorted(set(theirs) - set(classes))) or "nothing"
            raise LandbridgeError(
                f"{folder}: the classes of {split} must equal those of train: missing {lacks}, extra {extra}"
            )
    return classes


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[str]:
    images = []
    for parent, below, names in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        # Creating Path objects would take longer than reading the folder.
        shown = (name for name in names if not name.startswith("."))
        images += [f"{parent}{os.sep}{name}" for name in shown if name.lower().endswith(EXTENSIONS)]
    if not images:
        raise LandbridgeError(f"{folder}: this class holds no image; valid extensions: {', '.join(EXTENSIONS)}")
    return sorted(images)


def _groups(setting: str, base: Path, files: Sequence[str]) -> list[str]:
    paths = [Path(file).relative_to(base).as_posix() for file in files]
    groups = _listed(base / setting, paths) if setting.endswith(".csv") else _matched(setting, paths)
    lost = [path for path, group in zip(paths, groups, strict=True) if group is None]
    if lost:
        raise LandbridgeError(f"image_folder: groups={setting} gives no group to {len(lost)} images, such as {lost[0]}")
    return [str(group) for group in groups]


def _listed(table: Path, paths: Sequence[str]) -> list[str | None]:
    if table.exists() and not table.is_file():
        raise LandbridgeError(f"image_folder: groups={table} is not a file, but a folder, a pipe or a device")
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
