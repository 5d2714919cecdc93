"""A table: one description of columns serves HTML, Markdown and CSV, so that their numbers are equal."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Column:
    """A column: its raw values, and how a reader sees them.

    Attributes:
        key: its name in the CSV.
        title: its head on the page; empty for a column that only the CSV has.
        value: the raw value of a row.
        text: what is shown of a row; by default the raw value.
        style: the class of a shown value.
        number: whether it is right-aligned, and sorts with its largest value first.
    """

    key: str
    title: str
    value: Callable[[Any], Value]
    text: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    number: bool = True


class Shown(NamedTuple):
    """A cell of a table on the page."""

    raw: str
    text: str
    style: str


@dataclass(frozen=True)
class Table:
    """Rows and their columns.

    Attributes:
        name: identifies it on the page.
        columns: in order.
        rows: whatever the columns understand.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Any]

    @property
    def shown(self) -> list[Column]:
        """Columns that the page has: those with a title, and a value in some row."""
        columns = [column for column in self.columns if column.title]
        return [column for column in columns if any(column.value(row) not in (None, "") for row in self.rows)]

    def body(self) -> list[list[Shown]]:
        """Return what the page shows, row by row."""
        return [[_shown(column, row) for column in self.shown] for row in self.rows]

    def csv(self) -> str:
        """Return all columns with their raw values."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows([raw(column.value(row)) for column in self.columns] for row in self.rows)
        return file.getvalue()

    def markdown(self) -> str:
        """Return the shown columns."""
        heads = [column.title for column in self.shown]
        rule = ["---:" if column.number else "---" for column in self.shown]
        lines = [heads, rule, *([cell.text for cell in row] for row in self.body())]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def raw(value: Value) -> str:
    """Write a value so that nothing of it is lost, the same on the page and in the CSV."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shown(column: Column, row: Any) -> Shown:
    value = raw(column.value(row))
    return Shown(value, column.text(row) if column.text else value, column.style(row) if column.style else "")
