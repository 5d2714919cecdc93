"""Finds the images below folders, and counts what is left out."""

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from landbridge.errors import LandbridgeError, printable

log = logging.getLogger(__name__)

#: What counts as an image: endings of files that Pillow reads without other programs.
EXTENSIONS = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm"}
    | {".pcx", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp"}
)

#: Files and folders that programs add to a user's folders. Names that begin with a dot are left out too.
BY_PROGRAMS = frozenset(
    ("$recycle.bin", "@eadir", "__macosx", "desktop.ini", "lost+found", "system volume information", "thumbs.db")
)
#: Number of kinds of left-out files, and of twice linked folders, that a warning names.
NAMED = 6


def is_hidden(name: str) -> bool:
    """Return whether a file or a folder is hidden, or was added by a program."""
    return name.startswith(".") or name.lower() in BY_PROGRAMS


def class_folders(folder: str) -> dict[str, str]:
    r"""Return the folders in a folder that are not hidden: for each name as text, its path; sorted by name.

    A name is text in Unicode's composed form, because archives of different systems write `é` in two ways. Bytes that
    are not UTF-8 become `\xe9` in the name. The path keeps them.

    Raises:
        LandbridgeError: two folders have the same name in this form.
    """
    found: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name) or not entry.is_dir():
                continue
            name = unicodedata.normalize("NFC", printable(entry.name))
            if name in found:
                raise LandbridgeError(f"{folder}: two folders are called {name}, in two encodings; join them")
            found[name] = entry.path
    return dict(sorted(found.items()))


class ImageFinder:
    """Lists images, each folder once, also if several links lead to it.

    Args:
        base: the folder of the domain.
        folders: further folders that are listed by themselves, such as those of classes. Links in other folders that
            lead to them are not followed.

    Raises:
        LandbridgeError: two of the folders are one folder, under two names.
    """

    def __init__(self, base: str, folders: Iterable[str]) -> None:
        self.base = base
        self.folders = list(folders)
        self.images: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.hidden = 0
        self._example: dict[str, str] = {}
        self._again: list[str] = []
        self._entered = {_identity(base): base}
        for folder in self.folders:
            first = self._entered.setdefault(_identity(folder), folder)
            if first is not folder:
                raise LandbridgeError(f"{folder} and {first} are the same folder; remove one of these links")

    def find(self, folder: str) -> list[str]:
        """Return the paths of all images below a folder, sorted. Links to folders are followed."""
        images, waiting = [], [folder]
        while waiting:
            below = []
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 (a Path object is slower)
                    if is_hidden(entry.name):
                        self.hidden += 1
                    elif entry.is_dir():
                        below.append(entry.path)
                    elif ending in EXTENSIONS:
                        images.append(entry.path)
                        self.images[ending] += 1
                    else:
                        self._leave_out(ending or "without an extension", entry.path)
            # In the order of names, so that of two links to one folder always the same one is followed.
            waiting += [path for path in sorted(below) if self._enters(path)]
        return sorted(images)

    def count_beside(self, folders: Iterable[str]) -> None:
        """Count the images that are directly in some folders, where only folders of classes belong."""
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
                    if ending in EXTENSIONS and not is_hidden(entry.name) and not entry.is_dir():
                        self._leave_out(f"{ending} in no class folder", entry.path)

    def log(self, name: str) -> None:
        """Log how many images were found, by extension, and warn about everything that was left out."""
        hidden = f"; {self.hidden} hidden files or folders are ignored" if self.hidden else ""
        log.info("%s: %d images (%s)%s", name, self.images.total(), _counts(self.images), hidden)
        if self.others:
            counts = [f"{n} {kind} ({printable(self._example[kind])})" for kind, n in self.others.most_common(NAMED)]
            log.warning("%s: %d files are left out: %s", name, self.others.total(), _listed(counts, len(self.others)))
        if self._again:
            places = [printable(place) for place in self._again[:NAMED]]
            listed = _listed(places, len(self._again))
            log.warning("%s: links to folders that are already read are not followed: %s", name, listed)

    def _enters(self, folder: str) -> bool:
        """Return whether a folder is read for the first time, and remember it."""
        if self._entered.setdefault(_identity(folder), folder) is folder:
            return True
        self._again.append(os.path.relpath(folder, self.base))
        return False

    def _leave_out(self, kind: str, path: str) -> None:
        self.others[kind] += 1
        self._example.setdefault(kind, os.path.relpath(path, self.base))


def _identity(folder: str) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in counter.most_common())


def _listed(shown: list[str], total: int) -> str:
    return ", ".join([*shown, *([f"and {total - len(shown)} more"] if total > len(shown) else [])])
