"""Turns paths into inputs: folders and files of images, tables, arrays, and texts."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from landbridge.data.formats import ImageFormat, VectorFormat
from landbridge.data.image_files import FileInputs
from landbridge.data.inputs import Inputs, TensorInputs
from landbridge.data.sources.image_listing import EXTENSIONS
from landbridge.data.sources.union import JoinedInputs
from landbridge.data.text_inputs import TextInputs
from landbridge.errors import LandbridgeError
from landbridge.predict.finished_run import FinishedRun
from landbridge.predict.given import finite, require_columns

TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")
ARRAYS = (".npz", ".npy")
#: What a file may be, by what the model takes.
TAKES = {
    "image": "images, folders of images, or tables with a column of paths",
    "vector": f"tables with columns of numbers, or arrays ({', '.join(ARRAYS)})",
    "text": "tables with a column of texts, or .txt files with one text a line",
}


def inputs_from(paths: Sequence[Path], run: FinishedRun, columns: Sequence[str] = ()) -> Iterator[Inputs]:
    """Yield the samples in files; images that follow one another are joined.

    Args:
        paths: files and folders.
        run: the finished run.
        columns: of a table: the one with texts or paths, or those with numbers; none: those of the run.

    Raises:
        LandbridgeError: a path does not exist, or holds nothing that this model takes.
    """
    images: list[str] = []
    for path in paths:
        if not path.exists():
            raise LandbridgeError(f"there is no file or folder {path}")
        if isinstance(run.format, ImageFormat) and path.suffix.lower() not in TABLES:
            images += _images(path)
            continue
        if images:
            yield FileInputs(images, how=run.reading)
            images = []
        yield _from_file(path, run, columns, several=len(paths) > 1)
    if images:
        yield FileInputs(images, how=run.reading)


def _images(path: Path) -> list[str]:
    if not path.is_dir():
        return [str(path)]
    found: list[str] = []
    for parent, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        shown = sorted(name for name in names if not name.startswith(".") and name.lower().endswith(tuple(EXTENSIONS)))
        found += [f"{parent}{os.sep}{name}" for name in shown]
    if not found:
        raise LandbridgeError(f"the folder {path} holds no image; valid extensions: {', '.join(sorted(EXTENSIONS))}")
    return found


def _from_file(path: Path, run: FinishedRun, columns: Sequence[str], several: bool) -> Inputs:
    kind, ending = run.format.kind, path.suffix.lower()
    if path.is_dir():
        raise LandbridgeError(f"{path} is a folder, and this model takes {TAKES[kind]}")
    if ending in TABLES:
        inputs = _TableRows(path, run, columns).inputs()
    elif isinstance(run.format, VectorFormat) and ending in ARRAYS:
        inputs = TensorInputs(torch.from_numpy(finite(_array(path), run.format.width, f"{path}: the samples")))
    elif kind == "text" and ending == ".txt":
        lines = _lines(path)
        inputs = TextInputs(lines, rows=np.arange(1, len(lines) + 1))
    else:
        raise LandbridgeError(f"{path} is no input of this model, which takes {TAKES[kind]}")
    # Rows of several tables are told apart by their files; images have paths anyway.
    return JoinedInputs([inputs], names=[str(path)]) if several and kind != "image" else inputs


def _array(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
        return found["x"] if path.suffix.lower() == ".npz" else found
    except Exception as error:  # numpy's parsers raise errors of many classes
        need = "an array x" if path.suffix.lower() == ".npz" else "one array"
        raise LandbridgeError(f"{path} cannot be read: it needs {need} of numbers (n, d) ({error})") from error


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LandbridgeError(f"{path} cannot be read as text in UTF-8 ({error})") from error
    if not lines:
        raise LandbridgeError(f"{path} is empty")
    if blank := [number for number, line in enumerate(lines, start=1) if not line.strip()]:
        raise LandbridgeError(f"{path}: line {blank[0]} is empty, and each line is a text; remove or fill it")
    return lines


@dataclass(frozen=True)
class _TableRows:
    """The rows of a table, read as the run read its own table."""

    path: Path
    run: FinishedRun
    columns: Sequence[str]

    def inputs(self) -> Inputs:
        """Read the columns that the model takes. No column of labels is read, and none needs to exist."""
        if find_spec("polars") is None:
            raise LandbridgeError("tables need the package polars: pip install 'landbridge[tables]'")
        # These modules import polars.
        from landbridge.data.sources import table_samples as samples
        from landbridge.data.sources.table_file import TableFile, unusable

        kind = self.run.format.kind
        settings = ("delimiter", "encoding", "quote", "missing_values")
        same = {name: self.run.target[name] for name in settings if name in self.run.target}
        file = TableFile(self.path, **same)
        names = self._names(file.columns())
        rows = file.read(names, () if kind == "vector" else names)
        for name in names:
            rows.refuse(unusable(rows.frame[name]), name, lambda _: "the value is missing; fill it in")
        if kind == "vector":
            return samples.vectors(rows, names)
        return samples.texts(rows, names[0]) if kind == "text" else samples.images(rows, names[0])

    def _names(self, there: Sequence[str]) -> list[str]:
        if isinstance(self.run.format, VectorFormat):
            wanted = [*(self.columns or self.run.inputs.get("columns", ()))]
            if not wanted and len(there) == self.run.format.width:
                return list(there)
            require_columns(there, wanted, str(self.path))
            if len(wanted) != self.run.format.width:
                width = self.run.format.width
                raise LandbridgeError(f"{len(wanted)} columns are named, and this model takes {width} numbers a sample")
            return wanted
        own = self.run.target.get(self.run.format.kind)
        wanted = [*(self.columns or ([own] if own else []))]
        if not wanted and len(there) == 1:
            return list(there)
        if len(wanted) != 1:
            raise LandbridgeError(
                f"{self.path}: name the one column that holds {self.run.format.kind}s, of {', '.join(there[:12])} "
                f"(--columns NAME)"
            )
        require_columns(there, wanted, str(self.path))
        return wanted
