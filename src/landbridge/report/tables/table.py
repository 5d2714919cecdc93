"""Tables. HTML, Markdown and CSV are written from the same columns, so that their numbers are equal."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from landbridge.report.csv_text import in_csv
from landbridge.report.escaping import in_cell

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Column:
    """A column: its raw values and their text on the page.

    Attributes:
        key: name in the CSV.
        title: heading on the page; empty for a column that only the CSV has.
        value: function from a row to its raw value.
        text: function from a row to the shown text; by default the raw value.
        style: function from a row to the CSS class of the shown value.
        tip: function from a row to a text that the page shows over the value.
        number: whether the column is right-aligned and sorted with the largest value first.
        lower: whether lower numbers are better, so that the smallest value comes first.
    """

    key: str
    title: str
    value: Callable[[Any], Value]
    text: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    tip: Callable[[Any], str] | None = None
    number: bool = True
    lower: bool = False


class Shown(NamedTuple):
    """A shown cell of a table: raw value, text, CSS class and tip."""

    raw: str
    text: str
    style: str
    tip: str


@dataclass(frozen=True)
class Table:
    """Rows and columns.

    Attributes:
        name: identifier on the page.
        columns: in order from left to right.
        rows: objects that the functions of the columns accept.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Any]

    @property
    def shown(self) -> list[Column]:
        """Columns on the page: those with a title and with a value in at least one row."""
        columns = [column for column in self.columns if column.title]
        return [column for column in columns if any(column.value(row) not in (None, "") for row in self.rows)]

    def body(self) -> list[list[Shown]]:
        """Return the shown cells, row by row."""
        return [[_shown(column, row) for column in self.shown] for row in self.rows]

    def csv(self) -> str:
        """Return all columns with their raw values as CSV."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows([_csv(column.value(row)) for column in self.columns] for row in self.rows)
        return file.getvalue()

    def markdown(self) -> Markup:
        """Return the shown columns as a Markdown table."""
        heads = [column.title for column in self.shown]
        rule = ["---:" if column.number else "---" for column in self.shown]
        lines = [heads, rule, *([cell.text for cell in row] for row in self.body())]
        return Markup("\n".join("| " + " | ".join(map(in_cell, line)) + " |" for line in lines))


def raw(value: Value) -> str:
    """Write a raw value as text, the same for the page and the CSV; floats have six significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(value: Value) -> str:
    return in_csv(value) if isinstance(value, str) else raw(value)


def _shown(column: Column, row: Any) -> Shown:
    value = raw(column.value(row))
    text = column.text(row) if column.text else value
    return Shown(value, text, column.style(row) if column.style else "", column.tip(row) if column.tip else "")
