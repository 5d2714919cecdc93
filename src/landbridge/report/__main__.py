"""The command `landbridge-report DIR...`: read records and write an HTML page, a Markdown file and CSV files."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from landbridge.errors import LandbridgeError

if TYPE_CHECKING:
    from landbridge.report.collect import Collection


def main(arguments: list[str] | None = None) -> None:
    """Run `landbridge-report` or `python -m landbridge.report`.

    Args:
        arguments: command-line arguments; by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="landbridge-report", description=(
        "Read all records below the given folders. Write report.html, report.md, report.csv (one row "
        "per method and pair) and runs.csv (one row per run); subgroups.csv, gaps.csv and tasks.csv if records have "
        "subgroups or several tasks."
    ))  # fmt: skip
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="the folder of a finished or partial sweep, or of a run"
    )
    parser.add_argument("--out", type=Path, help="folder for the written files (default: the first DIR)")
    parser.add_argument(
        "--metric",
        help="metric to compare: any number in the results that all runs of a pair have, such as macro_f1 or mae "
        "(default: the leading metric of each task)",
    )
    parser.add_argument(
        "--embedding",
        choices=("pca", "tsne"),
        default="pca",
        help="projection of test samples to the plane; t-SNE takes seconds per run",
    )
    parser.add_argument(
        "--card", action="store_true", help="write the model card of one run, model_card.md, in place of the report"
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="PAGE",
        help="write short tables of verdicts between the marks of a Markdown page, in place of the report",
    )
    parser.add_argument(
        "--control",
        metavar="STRATEGY",
        help="with --into: a simple strategy that methods without an ablation are compared with, such as adabn",
    )
    parser.add_argument("--title", help="title of the page (default: the name of the first DIR)")
    options = parser.parse_args(arguments)
    try:
        (_write_card if options.card else _write_into if options.into else _write)(options)
    except LandbridgeError as error:
        sys.exit(f"landbridge-report: {error}")


def _write(options: argparse.Namespace) -> None:
    from landbridge.report.page import make

    found = _collect(options)
    report = make(found, options.title or options.folders[0].resolve().name, options.embedding)
    out: Path = options.out or options.folders[0]
    _save({"report.md": report.markdown(), **report.tables, "report.html": report.html()}, out)
    print(report.answer.headline)
    print(f"report     {(out / 'report.html').resolve()}")


def _collect(options: argparse.Namespace) -> "Collection":
    from landbridge.report.collect import collect

    found = collect(options.folders, options.metric)
    for line in [*found.damaged, *found.left_out]:
        print(f"skipped: {line}", file=sys.stderr)
    return found


def _write_into(options: argparse.Namespace) -> None:
    from landbridge.report.answer import answer
    from landbridge.report.compare import compare
    from landbridge.report.inserted import insert
    from landbridge.report.tables.verdicts import verdict_tables

    found = _collect(options)
    comparison = compare(found.runs, found.unfinished)
    insert(options.into, verdict_tables(comparison, options.control))
    print(answer(comparison).headline)
    print(f"page       {options.into.resolve()}")


def _write_card(options: argparse.Namespace) -> None:
    from landbridge.report.card import CARD, card

    if len(options.folders) > 1:
        raise LandbridgeError(f"--card takes the folder of one run, not {len(options.folders)}")
    out: Path = options.out or options.folders[0]
    _save({CARD: card(options.folders[0])}, out)
    print(f"card       {(out / CARD).resolve()}")


def _save(files: Mapping[str, str], out: Path) -> None:
    """Write files into a folder, each of them completely or not at all."""
    from landbridge.report.written import refuse_foreign

    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            refuse_foreign(out / name, content)
        for name, content in files.items():
            draft = out / f".{name}.{os.getpid()}"
            draft.write_text(content, encoding="utf-8")
            draft.replace(out / name)
    except OSError as error:
        raise LandbridgeError(
            f"cannot write the report to {out}: {error.strerror}; choose another folder with --out"
        ) from error


if __name__ == "__main__":
    main()
