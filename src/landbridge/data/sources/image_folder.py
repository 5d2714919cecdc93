"""A folder of images as a domain, with one subfolder per class."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt

from landbridge.data.augment import ImageKind
from landbridge.data.content_hashes import MEMOS
from landbridge.data.domain import Domain
from landbridge.data.image_files import FileInputs, Reading, Resize
from landbridge.data.prior import Prior
from landbridge.data.sources.image_listing import EXTENSIONS, ImageFinder, class_folders
from landbridge.data.split_domain import split_domain
from landbridge.errors import LandbridgeError, printable

#: Valid names of split folders in lower case, and the split of each.
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def image_folder(
    root: str | None = None,
    name: str | None = None,
    groups: str | None = None,
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    test: Annotated[float, Gt(0), Lt(1)] = 0.2,
    split_seed: Annotated[int, Ge(0)] = 0,
    stratify: bool = False,
    prior: Prior | None = None,
    image_kind: ImageKind = "photographs",
    resize: Resize = "crop",
    invert: bool = False,
    hash_memo: str | None = MEMOS,
) -> Domain:
    """Load `root/CLASS/...` or `root/{train,val,test}/CLASS/...`.

    Split folders may be written in any case, such as `Train`. Other names are `training`, `valid`, `validation`, `dev`
    and `testing`. Splits that come with the folder are kept. Missing splits are taken from `train`. A folder with only
    `train` and `val` therefore keeps its `val` for choosing epochs, and its test split is a part of `train`. The given
    `val` does not become the test split, because others may have used it for selection. Images of equal content, and
    images of one group, are always in one split. If the given splits share such images, the test split keeps them; next
    in priority is the validation split.

    Classes are sorted by name. A class without images in the given validation or test split is allowed, and metrics
    leave it out. Class folders may contain further folders and links to folders; each folder is read once. Files with
    an extension that is not in `image_listing.EXTENSIONS` are left out, and a warning in the log counts them. Hidden
    files are ignored. Images are decoded when a batch needs them; of several frames, the first is read.

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
        split_seed: seed of the choice of samples for missing splits. In addition to the seed, the choice depends only
            on the contents of the files, and on the groups.
        stratify: whether every class has equal shares of the splits that are made, which reads all labels.
        prior: class shares to which the domain is sub-sampled before it is split: a number from 1 on, how many times
            the first class of a long tail is as frequent as the last; or the share of each class, as a list in the
            order of the classes or by class name. None: all samples.
        image_kind: what the images show: `digits` (also for letters) or `photographs`. Augmented digits are never
            mirrored.
        resize: how an image gets the size that the backbone takes. `crop` resizes the shorter side and keeps the
            centre. `squash` resizes the whole image and changes its proportions. `pad` resizes the whole image in its
            proportions and fills the rest with black.
        invert: whether bright becomes dark, before anything is padded: for dark objects on white.
        hash_memo: folder in which hashes of the files are kept, so that later runs do not read all files again. A file
            whose inode, size or times have changed is read again. None keeps none.

    Raises:
        LandbridgeError: the folder does not exist, its layout is not one of the two, a class is empty or too small to
            be split, or an image has no group.
    """
    if root is None:
        raise LandbridgeError(
            "image_folder: root is not set; set it to the folder of images, such as target.root=photos"
        )
    base = Path(root).expanduser().absolute()
    _require_folder(base, root)
    splits = _class_folders(str(base))
    classes = list(splits["train"])
    finder = ImageFinder(str(base), [folder for folders in splits.values() for folder in folders.values()])
    finder.count_beside(dict.fromkeys([str(base), *map(os.path.dirname, finder.folders)]))
    files: list[str] = []
    labels: list[int] = []
    given = {}
    for split, folders in splits.items():
        first = len(files)
        for index, label in enumerate(classes):
            images = finder.find(folders[label]) if label in folders else []
            if not images and split == "train":
                raise LandbridgeError(
                    f"{folders[label]}: this class holds no image; valid extensions: {', '.join(sorted(EXTENSIONS))}"
                )
            files += images
            labels += [index] * len(images)
        given[split] = torch.arange(first, len(files))
    finder.log(f"domain {name or printable(base.resolve().name)}")
    return split_domain(
        name or printable(base.resolve().name),
        classes,
        FileInputs(files, how=Reading(resize, invert), memos=hash_memo),
        torch.tensor(labels),
        _groups(groups, base, files) if groups else None,
        given=given,
        val=val,
        test=test,
        seed=split_seed,
        stratify=stratify,
        prior=prior,
        image_kind=image_kind,
    )


def _require_folder(base: Path, root: str) -> None:
    if base.is_dir():
        return
    if not base.exists():
        raise LandbridgeError(f"image_folder: root={root}: there is no folder {base}; name an existing folder")
    others = {".npz": "vectors", **dict.fromkeys((".csv", ".tsv", ".jsonl", ".parquet"), "table")}
    other = others.get(base.suffix.lower())
    mend = f"such a file is target={other} target.file={root}" if other else "unpack it if it is an archive"
    raise LandbridgeError(f"image_folder: root={root} is a file, not a folder; {mend}")


def _class_folders(base: str) -> dict[str, dict[str, str]]:
    """Return the path of each class folder, by split and name. Without split folders, all are `train`."""
    folders = class_folders(base)
    places = _split_folders(base, folders)
    splits = {split: class_folders(folder) for split, folder in places.items()} or {"train": folders}
    classes, where = splits["train"], places.get("train", base)
    if len(classes) < 2:
        raise LandbridgeError(
            f"{where}: holds {len(classes) or 'no'} class folder{'s' * (not classes)}"
            f"{''.join(f' ({name})' for name in classes)}; put the images into one folder per class, "
            f"for two classes or more"
        )
    for split, theirs in splits.items():
        if extra := ", ".join(sorted(theirs.keys() - classes.keys())):
            raise LandbridgeError(
                f"{places[split]}: the classes of {split} must be classes of train: {extra} are not among "
                f"{', '.join(classes)}"
            )
    return splits


def _split_folders(base: str, folders: Mapping[str, str]) -> dict[str, str]:
    """Return the folder of each given split; empty if the folders are classes."""
    found = {name: SPLIT_FOLDERS[name.lower()] for name in folders if name.lower() in SPLIT_FOLDERS}
    others = [name for name in folders if name not in found]
    if not found or (len(found) == 1 and others and not _are_splits(folders)):
        # `train` is also a vehicle. One folder with such a name, next to other classes, is therefore a class.
        return {}
    if others:
        raise LandbridgeError(
            f"{base}: holds splits ({', '.join(found)}) and other folders ({', '.join(others)}); keep one kind, or "
            f"give each split one of the names {', '.join(SPLIT_FOLDERS)}"
        )
    if "train" not in found.values():
        raise LandbridgeError(
            f"{base}: holds {', '.join(found)}, but no train folder; add it, or move the class folders directly into "
            f"{base}, so that splits are made"
        )
    if len({*found.values()}) < len(found):
        raise LandbridgeError(
            f"{base}: holds {', '.join(found)}; valid are one train folder and at most one folder each for val and test"
        )
    return {split: folders[name] for name, split in found.items()}


def _are_splits(folders: Mapping[str, str]) -> bool:
    """Return whether all folders hold folders of the same names, two or more, as splits with classes do."""
    inside = [frozenset(class_folders(folder)) for folder in folders.values()]
    return len({*inside}) == 1 and len(inside[0]) > 1


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
