"""What a model predicts for some samples: in memory, as rows, and in a file."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.report.csv_text import in_csv
from landbridge.tasks import Several, Task

#: Name of the column that tells which sample a row belongs to.
SAMPLE = "sample"
ENDINGS = (".csv", ".jsonl", ".parquet")
#: Stands between the classes of a sample in a cell of a CSV file.
BETWEEN = "|"


@dataclass(frozen=True)
class Predictions:
    """The predictions for some samples.

    Attributes:
        ids: for each sample, the path of its file, or its row.
        outputs: of the network (n, k): logits, or numbers in the units of the data.
        features: of the samples (n, d); None if they were not wanted.
        task: what is predicted.
    """

    ids: Sequence[str]
    outputs: Tensor
    features: Tensor | None
    task: Task

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.ids)

    def __repr__(self) -> str:
        """Show the first rows, as a notebook prints them."""
        lines = [f"{len(self)} predictions of {self.task.kind.replace('_', ' ')}", *map(str, self[:5].rows())]
        return "\n  ".join([*lines, *(["..."] if len(self) > 5 else [])])

    def __getitem__(self, which: slice) -> "Predictions":
        """Return some of the predictions."""
        features = None if self.features is None else self.features[which]
        return Predictions(self.ids[which], self.outputs[which], features, self.task)

    @property
    def classes(self) -> list[Any]:
        """The class of each sample; for several classes a sample, a list of them.

        Raises:
            LandbridgeError: the task has no classes.
        """
        answers = self.task.answers(self.outputs)
        found = answers.get("class" if self.task.kind == "classification" else "classes")
        if found is None or self.task.kind not in ("classification", "multi_label"):
            raise LandbridgeError(f"a task of the kind {self.task.kind} has no classes; see rows() and by_task")
        return found

    @property
    def probabilities(self) -> Tensor | None:
        """The probability of each class (n, k), in the order of `task.names`; None for numbers and several tasks."""
        return self.task.probabilities(self.outputs)

    @property
    def by_task(self) -> dict[str, "Predictions"]:
        """The predictions of each of several tasks, by name; empty for one task."""
        if not isinstance(self.task, Several):
            return {}
        return {
            name: Predictions(self.ids, own, self.features, task)
            for name, task, own in self.task.outputs_by_task(self.outputs)
        }

    def columns(self, probabilities: bool = False) -> dict[str, list[Any]]:
        """Return the predictions by column: `sample`, and what the task answers.

        Args:
            probabilities: whether a classification gets a column for each class, `p(CLASS)`, too.
        """
        answers = self.task.answers(self.outputs)
        if probabilities:
            for name, each in self.by_task.items() or [("", self)]:
                by_class = each.probabilities
                if by_class is not None and each.task.kind == "classification":
                    named = zip(each.task.names, by_class.T, strict=True)
                    answers |= {f"{name}{'.' * bool(name)}p({own})": column.tolist() for own, column in named}
        key = SAMPLE
        while key in answers:
            key += "_"
        return {key: list(self.ids)} | answers

    def rows(self, probabilities: bool = False) -> list[dict[str, Any]]:
        """Return one mapping a sample, for `pandas.DataFrame(...)` and others; see `columns`."""
        return list(self._rows(self.columns(probabilities)))

    def write(self, path: Path | str, probabilities: bool = False) -> None:
        """Write a table, completely or not at all.

        Args:
            path: the file; it ends in `.csv`, `.jsonl` or `.parquet`. In a CSV file, `|` stands between the classes of
                a cell, and an apostrophe before text that a spreadsheet would run as a formula.
            probabilities: see `columns`.

        Raises:
            LandbridgeError: the ending is unknown, polars is missing, or the file cannot be written.
        """
        path = Path(path).expanduser()
        require_writable(path)
        draft = path.with_name(f".{path.name}.part")
        try:
            if path.suffix.lower() == ".parquet":
                import polars as pl

                pl.DataFrame(self.columns(probabilities)).write_parquet(draft)
            else:
                # A file name may hold bytes that are no text.
                with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                    self._print(file, probabilities, path.suffix.lower() == ".jsonl")
            draft.replace(path)
        except OSError as error:
            raise LandbridgeError(f"cannot write {path}: {error.strerror or error}") from error

    def print(self, probabilities: bool = False, file: TextIO | None = None) -> None:
        """Print a table as CSV, by default to the standard output."""
        self._print(file or sys.stdout, probabilities, lines=False)

    def _print(self, file: TextIO, probabilities: bool, lines: bool) -> None:
        columns = self.columns(probabilities)
        if lines:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self._rows(columns))
            return
        table = csv.writer(file, lineterminator="\n")
        table.writerow(map(in_csv, columns))
        for row in self._rows(columns):
            joined_cells = (BETWEEN.join(cell) if isinstance(cell, list) else cell for cell in row.values())
            table.writerow([in_csv(cell) if isinstance(cell, str) else cell for cell in joined_cells])

    @staticmethod
    def _rows(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
        return (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))


def require_writable(path: Path) -> None:
    """Refuse a file for predictions that could not be written, before anything is computed.

    Raises:
        LandbridgeError: the ending is unknown, there is no such folder, or polars is missing.
    """
    if path.suffix.lower() not in ENDINGS:
        raise LandbridgeError(f"predictions are written to files that end in {', '.join(ENDINGS)}, not to {path}")
    if not path.parent.is_dir():
        raise LandbridgeError(f"cannot write {path}: there is no folder {path.parent}")
    if path.suffix.lower() == ".parquet" and find_spec("polars") is None:
        raise LandbridgeError("a Parquet file needs the package polars: pip install 'landbridge[tables]'")


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Join predictions of one model, one after the other."""
    features = [part.features for part in parts if part.features is not None]
    return Predictions(
        [each for part in parts for each in part.ids],
        torch.cat([part.outputs for part in parts]),
        torch.cat(features) if features else None,
        parts[0].task,
    )
