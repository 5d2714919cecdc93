"""The rows of a table in a file, read by polars."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from landbridge.data.sources.table_faults import find_fault
from landbridge.errors import LandbridgeError

T = TypeVar("T")

log = logging.getLogger(__name__)

#: The character between the fields of a row, by the ending of the file.
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
ENDINGS = (*DELIMITERS, *JSON_LINES, *PARQUET)


@dataclass(frozen=True)
class TableFile:
    """A file and how it is written.

    Attributes:
        path: the file.
        delimiter: the character between the fields of a row; None: a comma, or a tab in `.tsv` and `.tab`.
        encoding: of the characters, such as `utf8` or `latin-1`.
        quote: the character around fields that hold a delimiter or a line break; None: no field is in quotes.
        missing_values: what stands for a missing value, in addition to an empty field.
    """

    path: Path
    delimiter: str | None = None
    encoding: str = "utf8"
    quote: str | None = '"'
    missing_values: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what is not a table.

        Raises:
            LandbridgeError: there is no such file, it is a folder or empty, or its ending is unknown.
        """
        if self.path.is_dir():
            inside = sorted(file.name for file in self.path.iterdir() if file.suffix.lower() in ENDINGS)
            mend = f"name a file in it, such as {inside[0]}" if inside else "a folder of images is target=image_folder"
            raise LandbridgeError(f"table: file={self.path} is a folder, not a file; {mend}")
        if not self.path.is_file():
            raise LandbridgeError(f"table: file={self.path}: there is no such file")
        if self.ending not in ENDINGS:
            mend = "; an .npz file of arrays is target=vectors" if self.ending == ".npz" else ""
            raise LandbridgeError(f"table: file={self.path} must end in one of {', '.join(ENDINGS)}{mend}")
        if not self.path.stat().st_size:
            raise LandbridgeError(f"{self.path}: the file is empty")

    @property
    def ending(self) -> str:
        """The ending of the file in lower case."""
        return self.path.suffix.lower()

    @property
    def between(self) -> str | None:
        """The delimiter; None for a file without delimiters."""
        return (self.delimiter or DELIMITERS[self.ending]) if self.ending in DELIMITERS else None

    def columns(self) -> list[str]:
        """Return the names of the columns.

        Raises:
            LandbridgeError: the file cannot be read.
        """
        return self._try(lambda: self._scan({}, header=True).collect_schema().names())

    def read(self, columns: Sequence[str], as_text: Sequence[str] = ()) -> "Table":
        """Read some columns.

        Rows that hold nothing in any of them, such as empty lines, are left out.

        Args:
            columns: their names.
            as_text: those that hold text, even where it looks like numbers.

        Raises:
            LandbridgeError: the file cannot be read, or has no rows.
        """
        types = dict.fromkeys(as_text, pl.String)
        frame = self._try(lambda: self._scan(types).select(columns).collect(engine="streaming"))
        # A person counts the header of a CSV file as row 1.
        rows = np.arange(len(frame)) + (2 if self.between else 1)
        table = Table(self.path, frame, rows)
        if len(frame) and (blank := frame.select(pl.all_horizontal(pl.all().is_null())).to_series()).any():
            log.info("%s: %d rows that hold nothing in these columns are left out", self.path, blank.sum())
            table = table.without(blank)
        if not len(table.frame):
            raise LandbridgeError(f"{self.path}: the table has columns ({', '.join(columns[:5])}), but no rows")
        return table

    def _scan(self, types: Mapping[str, type[pl.DataType]], header: bool = False) -> pl.LazyFrame:
        if self.ending in PARQUET:
            return pl.scan_parquet(self.path)
        if self.ending in JSON_LINES:
            return pl.scan_ndjson(self.path, infer_schema_length=None)
        whole = self.encoding.lower().replace("-", "") != "utf8"
        read = pl.read_csv if whole or header else pl.scan_csv
        table = read(
            self.path,
            separator=self.between or ",",
            quote_char=self.quote,
            null_values=list(self.missing_values) or None,
            schema_overrides=types,
            infer_schema=not header,
            infer_schema_length=None,
            n_rows=0 if header else None,
            encoding=self.encoding if whole else "utf8",  # pyright: ignore[reportArgumentType] -- scan_csv gets utf8
        )
        return table.lazy()

    def _try(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (pl.exceptions.PolarsError, OSError, ValueError, LookupError) as error:
            fault = find_fault(self.path, self.between, self.encoding, self.quote)
            told = str(error).strip().splitlines()
            fault = fault or f"cannot be read as {self.ending[1:]} ({told[0] if told else type(error).__name__})"
            raise LandbridgeError(f"{self.path}: {fault}") from error


@dataclass(frozen=True)
class Table:
    """Rows of a table.

    Attributes:
        path: the file.
        frame: the rows.
        rows: the number of each row as a person counts it (n,).
    """

    path: Path
    frame: pl.DataFrame
    rows: np.ndarray

    def without(self, mask: pl.Series) -> "Table":
        """Return the table without the rows of a mask (n,)."""
        return Table(self.path, self.frame.filter(~mask), self.rows[~mask.to_numpy()])

    def place(self, position: int, column: str) -> str:
        """Return a cell's place, for messages."""
        return f"{self.path}: row {self.rows[position]}, column {column}"

    def refuse(self, mask: pl.Series, column: str, sentence: Callable[[object], str]) -> None:
        """Refuse a column if a mask (n,) holds for one of its cells.

        Args:
            mask: the cells that are wrong.
            column: name of the column.
            sentence: makes the message from the first wrong value.

        Raises:
            LandbridgeError: it names the row and the column of the first wrong cell.
        """
        wrong = int(mask.sum())
        if wrong:
            first = mask.arg_max() or 0
            more = f" ({wrong} rows are like this)" if wrong > 1 else ""
            raise LandbridgeError(f"{self.place(first, column)}: {sentence(self.frame[column][first])}{more}")


def unusable(series: pl.Series) -> pl.Series:
    """Return which cells are missing (n,): null, nan, or text without a character that shows."""
    if series.dtype == pl.String:
        return series.is_null() | (series.str.strip_chars() == "").fill_null(True)
    return series.is_null() | series.is_nan().fill_null(True) if series.dtype.is_float() else series.is_null()
