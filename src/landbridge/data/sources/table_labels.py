"""The label columns of a table: the task of each, and labels as a tensor."""

import logging
from collections.abc import Mapping

import polars as pl
import torch
from torch import Tensor

from landbridge.data.sources.table_file import Table, unusable
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, MultiLabel, Regression, Several, Task

log = logging.getLogger(__name__)

#: Whole numbers with at most so many different values are classes.
FEW = 20


def kind_of(table: Table, column: str, separator: str | None) -> str:
    """Return the kind of task that follows from a label column.

    Lists, and text that holds the separator, are several labels. Other text, true and false, and whole numbers with at
    most `FEW` different values are classes. Other numbers are numbers to predict.

    Raises:
        LandbridgeError: the column holds something else, text that is nearly all numbers, or the label -1 beside others
            than 1.
    """
    series = table.frame[column]
    if isinstance(series.dtype, pl.List):
        return "multi_label"
    if series.dtype == pl.String:
        if separator and series.str.contains(separator, literal=True).any():
            return "multi_label"
        _refuse_nearly_numbers(table, column)
        return "classification"
    if series.dtype == pl.Boolean:
        return "classification"
    if not (series.dtype.is_numeric() or series.dtype == pl.Null):
        raise LandbridgeError(
            f"{table.path}: column {column} holds {series.dtype}; a label is text, a number, true or false, or a list "
            f"of texts"
        )
    usable = series.filter(~unusable(series))
    if not _whole(usable) or usable.n_unique() > FEW:
        return "regression"
    if usable.min() == -1 and {*usable} != {-1, 1}:
        table.refuse(
            (series == -1).fill_null(False),
            column,
            lambda _: (
                "-1 often marks rows without a label; name it in target.missing_values=[-1] and set "
                "target.missing=drop, or set target.task=classification if -1 is a class"
            ),
        )
    return "classification"


def read_labels(table: Table, kinds: Mapping[str, str], separator: str | None) -> tuple[Task, Tensor]:
    """Return the task of a table and its labels (n, ...).

    Args:
        table: the rows. In a single column every row has a label; in several columns cells may be empty, and are
            hidden labels.
        kinds: the kind of task of each label column.
        separator: stands between the labels of a cell.

    Raises:
        LandbridgeError: a cell does not fit the task of its column.
    """
    read = {"classification": _classes, "regression": _numbers, "multi_label": _label_sets}
    parts = {
        column: _label_sets(table, column, separator) if kind == "multi_label" else read[kind](table, column)
        for column, kind in kinds.items()
    }
    for column, (task, _) in parts.items():
        log.info("%s: column %s is a %s of %d", table.path.name, column, task.kind.replace("_", " "), task.outputs)
    if len(parts) == 1:
        return next(iter(parts.values()))
    columns = [torch.where(y < 0, torch.nan, y.float())[:, None] if y.ndim == 1 else y for _, y in parts.values()]
    return Several({column: task for column, (task, _) in parts.items()}), torch.cat(columns, dim=1)


def refuse_single(table: Table, column: str, task: Task, y: Tensor) -> None:
    """Refuse a class that occurs once: it would be in one split only. In one of several columns, it is a warning.

    Raises:
        LandbridgeError: it names the row.
    """
    if isinstance(task, Several):
        for name, each, _, own in task.parts(y.new_zeros(len(y), task.outputs), y):
            for row, label in _single(each, own):
                log.warning("%s: the class '%s' is in this row only", table.place(row, name), label)
        return
    single = _single(task, y)
    if not single:
        return
    row, name = single[0]
    more = f", as are {len(single) - 1} more classes" if len(single) > 1 else ""
    mend = "; set task=regression if the values are quantities" if table.frame[column].dtype.is_numeric() else ""
    raise LandbridgeError(
        f"{table.place(row, column)}: the class '{name}' is in this row only"
        f"{more}; every class needs samples for train, val and test: add some or leave the row out{mend}"
    )


def _single(task: Task, y: Tensor) -> list[tuple[int, str]]:
    """Return the row and the name of every class that occurs once."""
    if not task.has_classes:
        return []
    counts = torch.bincount(y[y >= 0], minlength=task.outputs)
    return [(int((y == index).nonzero()[0]), task.names[index]) for index in (counts == 1).nonzero().flatten().tolist()]


def _whole(series: pl.Series) -> bool:
    return bool(series.is_finite().all() and (series == series.round(0)).all()) if _fractions(series) else True


def _fractions(series: pl.Series) -> bool:
    return series.dtype.is_float() or series.dtype.is_decimal()


def _refuse_nearly_numbers(table: Table, column: str) -> None:
    """Refuse text of which most is numbers: a mark of a missing value would turn a regression into many classes."""
    series = table.frame[column]
    filled = ~unusable(series)
    other = filled & series.str.strip_chars().cast(pl.Float64, strict=False).is_null()
    if other.sum() < filled.sum() / 2:
        table.refuse(
            other,
            column,
            lambda value: (
                f"{value!r} is not a number, but most labels are; correct it, name it in missing_values, such as "
                f"missing_values=[{value}], or set task=classification"
            ),
        )


def _classes(table: Table, column: str) -> tuple[Task, Tensor]:
    """Return a classification and class indices (n,), -1 where the label is missing."""
    series = table.frame[column]
    if isinstance(series.dtype, pl.List):
        raise LandbridgeError(f"{table.path}: column {column} holds lists, which are labels of task=multi_label")
    series = series.set(unusable(series), None)
    if _fractions(series) and _whole(series.drop_nulls()):
        series = series.cast(pl.Int64)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
    values = series.unique().drop_nulls().sort()
    if len(values) < 2:
        only = ", ".join(map(_name, values)) or "no value"
        raise LandbridgeError(f"{table.path}: column {column} holds one class ({only}); two or more are needed")
    codes = series.replace_strict(values, pl.Series(range(len(values)), dtype=pl.Int64), default=-1)
    return Classification(tuple(map(_name, values))), torch.from_numpy(codes.cast(pl.Int64).to_numpy().copy())


def _name(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _numbers(table: Table, column: str) -> tuple[Task, Tensor]:
    """Return a regression and numbers (n, 1), nan where they are missing."""
    series = as_numbers(table, column)
    return Regression((column,)), torch.from_numpy(series.to_numpy().copy())[:, None]


def as_numbers(table: Table, column: str) -> pl.Series:
    """Return a column as 32-bit floats; nan where a number is missing.

    Raises:
        LandbridgeError: a cell is not a number, or not finite.
    """
    series = table.frame[column]
    missing = unusable(series)
    if series.dtype.is_nested() or series.dtype.is_temporal():
        raise LandbridgeError(f"{table.path}: column {column} holds {series.dtype}, not numbers")
    plain = series.str.strip_chars() if series.dtype == pl.String else series
    numbers = plain.cast(pl.Float64, strict=False)
    table.refuse(
        numbers.is_null() & ~missing,
        column,
        lambda value: f"{value!r} is not a number; correct it or name it in missing_values",
    )
    numbers = numbers.cast(pl.Float32)
    table.refuse(
        ~numbers.is_finite().fill_null(True) & ~missing, column, lambda value: f"{value} is not a finite 32-bit float"
    )
    return numbers.fill_null(float("nan"))


def _label_sets(table: Table, column: str, separator: str | None) -> tuple[Task, Tensor]:
    """Return a multi-label task and 0 or 1 for each class (n, classes), nan where the cell is missing."""
    series = table.frame[column]
    if not isinstance(series.dtype, pl.List):
        if not separator:
            raise LandbridgeError(
                f"table: column {column} has several labels in a cell; set what stands between them, such as "
                f'target.separator="|"'
            )
        series = series.cast(pl.String).str.split(separator)
    cells = pl.DataFrame({"row": pl.Series(range(len(series)), dtype=pl.Int64), "label": series})
    each = cells.explode("label").with_columns(pl.col("label").cast(pl.String).str.strip_chars())
    each = each.filter(pl.col("label").is_not_null() & (pl.col("label") != ""))
    classes = each["label"].unique().sort()
    if not len(classes):
        raise LandbridgeError(f"{table.path}: column {column} holds no label")
    counts = each["label"].value_counts().filter(pl.col("count") == 1)
    if len(counts):
        name = counts["label"].sort()[0]
        first = each.filter(pl.col("label") == name)["row"][0]
        log.warning("%s: the label '%s' is in this row only", table.place(first, column), name)
    codes = each["label"].replace_strict(classes, pl.Series(range(len(classes)), dtype=pl.Int64))
    y = torch.zeros(len(series), len(classes))
    y[torch.from_numpy(each["row"].to_numpy().copy()), torch.from_numpy(codes.to_numpy().copy())] = 1
    y[torch.from_numpy(series.is_null().to_numpy().copy())] = torch.nan
    return MultiLabel(tuple(classes)), y
