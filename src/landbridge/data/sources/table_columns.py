"""The columns of a table, and what each is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from landbridge.data.sources.table_file import TableFile
from landbridge.errors import LandbridgeError, nearest


@dataclass(frozen=True)
class Columns:
    """Names of columns by what they hold.

    Attributes:
        text: texts.
        image: paths of images.
        numbers: the numbers of one vector, or `all`.
        label: what is predicted; several columns are several tasks.
        split: `train`, `val` or `test`.
        groups: groups that a split keeps together.
        attributes: what else is known of a sample.
    """

    text: str | None
    image: str | None
    numbers: str | Sequence[str] | None
    label: tuple[str, ...]
    split: str | None
    groups: str | None
    attributes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a table without an input or a label, and one column for both.

        Raises:
            LandbridgeError: it names the settings.
        """
        given = [name for name in ("text", "image", "numbers") if getattr(self, name)]
        if len(given) != 1:
            raise LandbridgeError(
                f"table: {' and '.join(given) or 'no column'} is set as the input; set exactly one of text, image and "
                f"numbers, such as target.text=review"
            )
        if not self.label:
            raise LandbridgeError("table: label is not set; name the column to predict, such as target.label=stars")
        for role in ("label", "attributes"):
            names = getattr(self, role)
            if twice := [name for name in names if names.count(name) > 1]:
                raise LandbridgeError(f"table: {role} names the column {twice[0]} twice")
        if both := [name for name in self.label if name in self.inputs]:
            raise LandbridgeError(
                f"table: column {both[0]} is both the input ({given[0]}) and the label; a model would copy it"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that hold the input; none if all numeric columns are wanted."""
        if self.numbers == "all":
            return ()
        one = self.text or self.image or self.numbers or ()
        return (one,) if isinstance(one, str) else tuple(one)

    @property
    def as_text(self) -> tuple[str, ...]:
        """Columns whose cells are text, also where they look like numbers."""
        named = (self.text, self.image, self.split, self.groups, *self.attributes)
        return tuple(dict.fromkeys(name for name in named if name and name not in self.label))

    @property
    def besides(self) -> tuple[str, ...]:
        """All columns but those of the input."""
        named = (*self.label, self.split, self.groups, *self.attributes)
        return tuple(dict.fromkeys(name for name in named if name))

    def wanted(self, file: TableFile) -> list[str]:
        """Return the columns to read.

        Raises:
            LandbridgeError: the file lacks a column, or has it twice.
        """
        there = file.columns()
        named = [*dict.fromkeys([*self.inputs, *self.besides])]
        for name in named:
            _require(file, name, there)
        return there if self.numbers == "all" else named


def column_names(setting: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return a setting that names one column or several as a tuple of names."""
    return (setting,) if isinstance(setting, str) else tuple(setting or ())


def task_by_column(task: str | Mapping[str, str] | None, label: Sequence[str]) -> dict[str, Any]:
    """Return the wanted task of each label column; None where it follows from the column.

    Raises:
        LandbridgeError: a task is set for a column that is no label.
    """
    if not isinstance(task, Mapping):
        return dict.fromkeys(label, task)
    for name in task:
        if name not in label:
            best = nearest(name, label) or label[0]
            raise LandbridgeError(f"table: task is set for {name}, which is no label column; nearest: {best}")
    return {name: task.get(name) for name in label}


def _require(file: TableFile, name: str, there: Sequence[str]) -> None:
    if name not in there:
        if any(mark in column for column in there for mark in "\0\ufffd"):
            raise LandbridgeError(
                f"{file.path}: row 1 is not {file.encoding}; save the file as UTF-8, or set encoding, such as "
                f"encoding=utf-16"
            )
        best = nearest(name, there)
        hint = f"nearest: {best}" if best else f"its columns are {', '.join(there[:12])}"
        if len(there) == 1 and (used := next((mark for mark in ";\t|," if mark in there[0]), None)):
            shown = "tabs" if used == "\t" else f"'{used}'"
            hint = f"its only column is {there[0]!r}: if {shown} separate the columns, set delimiter={used!r}"
        raise LandbridgeError(f"{file.path}: there is no column {name}; {hint}")
    # polars names the second of two equal columns so.
    if f"{name}_duplicated_0" in there:
        raise LandbridgeError(f"{file.path}: row 1 names two columns {name}; give each its own name")
