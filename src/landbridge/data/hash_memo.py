"""What is known of the contents of files: for each path a stamp, and the hash of the content that it stands for."""

import hashlib
import logging
import os
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from landbridge.data.digests import DIGEST
from landbridge.data.texts import Texts

log = logging.getLogger(__name__)

#: A memo that no run has read for so many days is removed.
DAYS = 90
#: Raise this number after a change of the layout or of the hash. Then older files are not read.
LAYOUT = 1


class HashMemo:
    """Hashes of files, as arrays: about 60 bytes per file, beside its path.

    Args:
        paths: paths of the files (n).
        stamps: numbers that change with the content of a file, int64 (n, 5).
        hashes: hashes of the contents, uint8 (n, 16).
    """

    def __init__(self, paths: Texts, stamps: np.ndarray, hashes: np.ndarray) -> None:
        self.paths = paths
        self.stamps = stamps
        self.hashes = hashes

    @classmethod
    def empty(cls) -> "HashMemo":
        """Return a memo of no file."""
        return cls(Texts.of(()), np.empty((0, 5), np.int64), np.empty((0, DIGEST), np.uint8))

    def select(self, rows: np.ndarray) -> "HashMemo":
        """Return a memo of some files; `rows` is a mask (n,) or positions (m,)."""
        return HashMemo(self.paths.at(rows), self.stamps[rows], self.hashes[rows])

    def look_up(self, paths: Texts, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look for the hashes of files.

        Args:
            paths: paths of the files (m).
            stamps: their stamps now, int64 (m, 5).

        Returns:
            the hashes, uint8 (m, 16), and the positions of files that are not known, or have another stamp now.
        """
        if not len(self.paths):
            return np.empty((len(paths), DIGEST), np.uint8), np.arange(len(paths))
        if self.paths.equal(paths):  # nearly always, and much faster
            return self.hashes.copy(), np.flatnonzero((self.stamps != stamps).any(1))
        row_of = {path: row for row, path in enumerate(self.paths)}
        rows = np.fromiter((row_of.get(path, -1) for path in paths), np.int64, len(paths))
        same = (rows >= 0) & (self.stamps[rows] == stamps).all(1)
        return self.hashes[rows], np.flatnonzero(~same)

    def joined_with(self, newer: "HashMemo") -> "HashMemo":
        """Return a memo of the files of both. Files that no longer exist are left out."""
        renewed = {*newer.paths}
        others = [row for row, path in enumerate(self.paths) if path not in renewed and os.path.exists(path)]  # noqa: PTH110
        if not others:
            return newer
        kept = self.select(np.array(others))
        return HashMemo(
            Texts.of([*newer.paths, *kept.paths]),
            np.concatenate([newer.stamps, kept.stamps]),
            np.concatenate([newer.hashes, kept.hashes]),
        )

    @classmethod
    def read(cls, memos: str | None, place: str) -> "HashMemo":
        """Read the memo of a folder; empty if there is none, or if it is damaged.

        Args:
            memos: folder of the memos; None: there are none.
            place: the folder whose files the memo describes.
        """
        if memos is None:
            return cls.empty()
        file = _file(memos, place)
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
                texts = Texts.joined(kept["paths"].tobytes(), kept["sizes"])
                found = cls(texts, kept["stamps"], kept["hashes"])
            os.utime(file)
        except FileNotFoundError:
            return cls.empty()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.debug("the memo %s is not used: %s", file, error)
            return cls.empty()
        n = len(found.paths)
        return found if found.stamps.shape == (n, 5) and found.hashes.shape == (n, DIGEST) else cls.empty()

    def write(self, memos: str | None, place: str) -> None:
        """Write the memo of a folder at once, so that no process reads half of it. Remove memos that nobody reads.

        A memo that cannot be written is only logged: it saves time, and changes no result.
        """
        if memos is None:
            return
        file = _file(memos, place)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        content, sizes = self.paths.block()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as opened:
                np.savez(
                    opened, paths=np.frombuffer(content, np.uint8), sizes=sizes, stamps=self.stamps, hashes=self.hashes
                )
            draft.replace(file)
        except OSError as error:
            log.info("hashes of files are not kept for later runs, because %s cannot be written: %s", file, error)
            with suppress(OSError):
                draft.unlink()
            return
        for old in file.parent.iterdir():
            with suppress(OSError):  # another process may remove it at the same time
                if old.stat().st_mtime < time.time() - DAYS * 86_400:
                    old.unlink()


def _file(memos: str, place: str) -> Path:
    name = hashlib.blake2b(os.fsencode(place), digest_size=DIGEST).hexdigest()
    return Path(memos).expanduser() / f"{name}.{LAYOUT}.npz"
