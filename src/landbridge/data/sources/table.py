"""A table as a domain: rows are samples, and columns are texts, paths of images or numbers, labels and attributes."""

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from landbridge.data.augment import ImageKind
from landbridge.data.domain import Domain
from landbridge.data.prior import Prior
from landbridge.data.split_domain import split_domain
from landbridge.errors import LandbridgeError

if TYPE_CHECKING:
    import polars as pl

    from landbridge.data.sources.table_columns import Columns
    from landbridge.data.sources.table_file import Table

log = logging.getLogger(__name__)

TaskKind = Literal["classification", "multi_label", "regression"]


def table(
    file: str | None = None,
    name: str | None = None,
    text: str | None = None,
    image: str | None = None,
    numbers: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    task: TaskKind | Mapping[str, TaskKind] | None = None,
    separator: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    attributes: str | Sequence[str] | None = None,
    missing: Literal["error", "drop"] = "error",
    missing_values: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
    quote: str | None = '"',
    val: Annotated[float, Gt(0), Lt(1)] = 0.1,
    test: Annotated[float, Gt(0), Lt(1)] = 0.2,
    split_seed: Annotated[int, Ge(0)] = 0,
    stratify: bool = False,
    prior: Prior | None = None,
    image_kind: ImageKind = "photographs",
) -> Domain:
    """Load a CSV, TSV, JSON-lines or Parquet file with polars. Each row is a sample, and settings name its columns.

    The input is exactly one of `text`, `image` and `numbers`. Rows of equal content, and rows of one group, are always
    in one split.

    Args:
        file: the file; it ends in `.csv`, `.tsv`, `.tab`, `.jsonl`, `.ndjson`, `.parquet` or `.pq`.
        name: name of the domain; None takes the name of the file without its ending.
        text: column of texts.
        image: column of paths of images, relative to the folder of the file.
        numbers: columns of numbers, which become one vector; or `all`: all numeric columns without another role.
        label: column to predict, or several columns: then each is a task of its own, and a row may lack some labels.
        task: what the label is, for all label columns or by column. None: it follows from the column. Text, true and
            false, and whole numbers with at most 20 different values are classes; lists, and text that holds the
            separator, are several labels; other numbers are numbers to predict.
        separator: stands between the labels of a cell, such as `|` in `cat|dog`.
        split: column with `train`, `val` or `test`, in upper or lower case; other names for `val` are `valid` and
            `validation`. Missing splits are taken from `train`.
        groups: column with the group of each row, such as a patient.
        attributes: columns that are kept as attributes of the samples.
        missing: what happens to a row that lacks its input, its label, its split or its group: `error` refuses the
            table, `drop` leaves the row out.
        missing_values: texts that stand for a missing value in a CSV or TSV file, such as `NA`.
        delimiter: the character between the columns. None: a comma, or a tab in `.tsv` and `.tab`.
        encoding: encoding of a CSV or TSV file, such as `utf8` or `latin-1`.
        quote: the character around cells that hold a delimiter; null: quotes have no meaning.
        val: share of `train` that becomes the validation split if none is given, in (0, 1).
        test: share of `train` that becomes the test split if none is given, in (0, 1).
        split_seed: seed of the choice of samples for missing splits.
        stratify: whether every class has equal shares of the splits that are made, which reads all labels.
        prior: class shares to which the domain is sub-sampled before it is split: a number from 1 on, how many times
            the first class of a long tail is as frequent as the last; or the share of each class, as a list in the
            order of the classes or by class name. None: all samples.
        image_kind: what the images show: `digits` or `photographs`. Augmented digits are never mirrored.

    Raises:
        LandbridgeError: polars is not installed, the file cannot be read, a column does not exist, or a cell does not
            fit its column. The message names the row, where the header of a CSV file is row 1, and the column.
    """
    if file is None:
        raise LandbridgeError("table: file is not set; set it to the table, such as target.file=reviews.csv")
    if find_spec("polars") is None:
        raise LandbridgeError("target=table needs the package polars: pip install 'landbridge[tables]'")
    # These modules import polars.
    from landbridge.data.sources import table_samples as samples
    from landbridge.data.sources.table_columns import Columns, column_names, task_by_column
    from landbridge.data.sources.table_file import TableFile
    from landbridge.data.sources.table_labels import kind_of, read_labels, refuse_single

    columns = Columns(text, image, numbers, column_names(label), split, groups, column_names(attributes))
    tasks = task_by_column(task, columns.label)
    path = Path(file).expanduser()
    source = TableFile(path, delimiter, encoding, quote, missing_values)
    rows = source.read(columns.wanted(source), columns.as_text)
    inputs = columns.inputs or samples.numeric(rows, columns.besides)
    kinds = {column: tasks[column] or kind_of(rows, column, separator) for column in columns.label}
    rows = _complete(rows, columns, inputs, kinds, missing)
    predicted, labels = read_labels(rows, kinds, separator)
    refuse_single(rows, columns.label[0], predicted, labels)
    if columns.numbers:
        read = samples.vectors(rows, inputs)
    else:
        read = samples.texts(rows, inputs[0]) if columns.text else samples.images(rows, inputs[0])
    return split_domain(
        name or path.stem,
        predicted,
        read,
        labels,
        samples.groups(rows, groups) if groups else None,
        given=samples.given_splits(rows, split) if split else None,
        val=val,
        test=test,
        seed=split_seed,
        stratify=stratify,
        prior=prior,
        image_kind=image_kind,
        attributes=samples.attributes(rows, columns.attributes),
    )


def _complete(
    rows: "Table", columns: "Columns", inputs: Sequence[str], kinds: Mapping[str, str], missing: str
) -> "Table":
    """Refuse or leave out rows that lack what every sample needs.

    Raises:
        LandbridgeError: a cell is missing, or no row is left.
    """
    from landbridge.data.sources.table_file import unusable

    def lacks(column: str) -> "pl.Series":
        # A cell with no label of several is not missing: it is "" in quotes, or an empty list.
        series = rows.frame[column]
        return series.is_null() if kinds.get(column) == "multi_label" else unusable(series)

    needed = {column: lacks(column) for column in (*inputs, columns.split, columns.groups) if column}
    first, *others = columns.label
    unlabelled = lacks(first)
    for other in others:
        unlabelled &= lacks(other)
    needed[first] = unlabelled
    if missing == "error":
        for column, mask in needed.items():
            where = f"{', '.join(columns.label)} are all" if others and column == first else "the value is"
            rows.refuse(mask, column, lambda _, where=where: f"{where} missing; fill it in, or set missing=drop")
    dropped = needed.pop(first)
    for mask in needed.values():
        dropped |= mask
    if dropped.any():
        log.warning("%s: %d rows that lack a value are left out", rows.path, dropped.sum())
    if dropped.all():
        raise LandbridgeError(f"{rows.path}: every row lacks a value that is needed, so that no row is left")
    return rows.without(dropped)
