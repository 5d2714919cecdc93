"""The samples of a table: its input columns as inputs, and its columns for splits, groups and attributes."""

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from landbridge.data.image_files import FileInputs
from landbridge.data.inputs import Inputs, TensorInputs
from landbridge.data.sources.image_folder import SPLIT_FOLDERS
from landbridge.data.sources.table_file import Table
from landbridge.data.sources.table_labels import as_numbers
from landbridge.data.splits import SPLITS
from landbridge.data.text_inputs import TextInputs
from landbridge.data.texts import Texts
from landbridge.errors import LandbridgeError, nearest

#: Texts are joined so many at a time, because Python needs up to four bytes for a character.
JOINED = 100_000

#: The value of an attribute where the cell is empty.
UNKNOWN = "missing"


def texts(table: Table, column: str) -> Inputs:
    """Return a column of texts."""
    series = _plain(table, column)
    parts = (series.slice(first, JOINED) for first in range(0, len(series), JOINED))
    content = b"".join([part.str.join("").item().encode() for part in parts])
    return TextInputs(Texts.joined(content, series.str.len_bytes().cast(pl.Int64).to_numpy()), rows=table.rows)


def images(table: Table, column: str) -> Inputs:
    """Return a column of paths, which are relative to the folder of the table.

    Raises:
        LandbridgeError: a file does not exist.
    """
    series = _plain(table, column)
    folder = str(table.path.absolute().parent)
    paths = [os.path.join(folder, path) for path in series.to_list()]  # noqa: PTH118 (a Path object is slower)
    lost = pl.Series([not os.path.isfile(path) for path in paths])  # noqa: PTH113
    table.refuse(
        lost, column, lambda value: f"there is no file {Path(folder) / str(value)}; paths are relative to the table"
    )
    return FileInputs(paths)


def vectors(table: Table, columns: Sequence[str]) -> Inputs:
    """Return columns of numbers as one vector a row.

    Raises:
        LandbridgeError: a cell is not a finite number.
    """
    numbers = pl.DataFrame([as_numbers(table, column).alias(column) for column in columns])
    values = torch.from_numpy(numbers.to_numpy(order="c").copy())
    return TensorInputs(values, rows=table.rows, columns=columns)


def numeric(table: Table, without: Sequence[str]) -> list[str]:
    """Return the names of the numeric columns, without some.

    Raises:
        LandbridgeError: there are none.
    """
    types = table.frame.schema
    names = [name for name, kind in types.items() if kind.is_numeric() and name not in without]
    if not names:
        raise LandbridgeError(f"{table.path}: numbers=all finds no numeric column beside those with another role")
    return names


def given_splits(table: Table, column: str) -> dict[str, Tensor]:
    """Return the positions of the samples of each split.

    Raises:
        LandbridgeError: a cell names no split, or no row is in `train`.
    """
    written = _plain(table, column).str.strip_chars().str.to_lowercase()
    table.refuse(~written.is_in([*SPLIT_FOLDERS]), column, _no_split)
    named = written.replace_strict(SPLIT_FOLDERS, return_dtype=pl.String)
    splits = {split: torch.from_numpy((named == split).arg_true().cast(pl.Int64).to_numpy().copy()) for split in SPLITS}
    if not len(splits["train"]):
        raise LandbridgeError(f"{table.path}: column {column} assigns no row to train")
    return {split: where for split, where in splits.items() if len(where)}


def groups(table: Table, column: str) -> list[str]:
    """Return the group of each row."""
    return _plain(table, column).to_list()


def attributes(table: Table, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return columns as texts; an empty cell becomes `UNKNOWN`."""
    return {column: _plain(table, column).fill_null(UNKNOWN).to_list() for column in columns}


def _no_split(value: object) -> str:
    best = nearest(str(value).lower(), SPLIT_FOLDERS)
    return f"'{value}' is no split; " + (f"nearest: {best}" if best else f"valid: {', '.join(SPLITS)}")


def _plain(table: Table, column: str) -> pl.Series:
    series = table.frame[column]
    if series.dtype.is_nested():
        raise LandbridgeError(f"{table.path}: column {column} holds {series.dtype}, not texts")
    return series.cast(pl.String)
