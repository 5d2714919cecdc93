"""Make the report: collect everything that the HTML page, the Markdown file and the CSV files show."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from landbridge.report.advice import Advice, advise
from landbridge.report.answer import Answer, answer, compared
from landbridge.report.cells import Comparison
from landbridge.report.collect import Collection
from landbridge.report.compare import compare
from landbridge.report.escaping import as_html, as_markdown
from landbridge.report.parts import Part, parts
from landbridge.report.rules import rule_rows
from landbridge.report.runs import Run
from landbridge.report.single_runs.detail import Detail
from landbridge.report.single_runs.details import detail
from landbridge.report.tables.by_task import task_table
from landbridge.report.tables.methods import cell_table
from landbridge.report.tables.runs import run_table, unfinished_table
from landbridge.report.tables.subgroups import gap_table, group_table, subgroups
from landbridge.report.tables.table import Table
from landbridge.statistics import LEAST_SEEDS

TEMPLATES = Path(__file__).parent / "templates"
#: Most bytes of plots and pictures of single runs on a page. The page states how many runs were left out.
DETAIL_BYTES = 8_000_000


@dataclass
class Report:
    """The content of a report.

    Attributes:
        title: title of the page.
        made: time in UTC.
        found: the collected runs.
        comparison: all cells.
        answer: the first sentences.
        advice: what to try next.
        compared: names and values of what was compared.
        parts: one for each task and metric.
        tables: content of the CSV files by their names.
        runs: table of the runs with results.
        unfinished: table of the other runs.
        details: plots of single runs.
        left_out: number of single runs whose plots are left out.
    """

    title: str
    made: str
    found: Collection
    comparison: Comparison
    answer: Answer
    advice: list[Advice]
    compared: list[tuple[str, str]]
    parts: list[Part]
    tables: dict[str, str]
    runs: Table
    unfinished: Table
    details: list[Detail]
    left_out: int

    @property
    def only_classes(self) -> bool:
        """Whether all targets are classifications with one class a sample."""
        return all(part.is_classification for part in self.parts)

    @property
    def least_seeds(self) -> int:
        """The number of seeds that a verdict needs."""
        return LEAST_SEEDS

    def html(self) -> str:
        """Return the HTML page. Style, script and pictures are inside, so that the page needs no other file."""
        parts = {
            name: Markup((TEMPLATES / file).read_text())
            for name, file in (("style", "page.css"), ("script", "page.js"))
        }
        # The browser runs this script and no other, and loads nothing.
        digest = base64.b64encode(hashlib.sha256(parts["script"].encode()).digest()).decode()
        return as_html(TEMPLATES / "page.html.j2").render(report=self, digest=digest, **parts)

    def markdown(self) -> str:
        """Return the answer and the tables as Markdown, without plots."""
        return as_markdown(TEMPLATES / "page.md.j2").render(report=self)


def make(found: Collection, title: str, embedding: str = "pca") -> Report:
    """Compare the collected runs, judge them and draw the plots.

    Args:
        found: the collected runs.
        title: title of the page.
        embedding: projection of test samples to the plane, `pca` or `tsne`.
    """
    comparison = compare(found.runs, found.unfinished)
    rules = rule_rows(comparison.cells)
    details, left_out = _details(comparison, embedding)
    runs = run_table(found.runs)
    return Report(
        title=title,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        found=found,
        comparison=comparison,
        answer=answer(comparison),
        advice=advise(found, comparison, rules),
        compared=compared(found, comparison),
        parts=parts(comparison, rules),
        tables=_files(comparison, runs),
        runs=runs,
        unfinished=unfinished_table(found.unfinished),
        details=details,
        left_out=left_out,
    )


def _files(comparison: Comparison, runs: Table) -> dict[str, str]:
    """Return the content of the CSV files. Those of subgroups and tasks are there only if records have some."""
    cells, oracle = (cell_table(comparison, oracle=stamped).csv() for stamped in (False, True))
    groups = subgroups(comparison.cells)
    tables = {
        "subgroups.csv": group_table(groups),
        "gaps.csv": gap_table(groups),
        "tasks.csv": task_table(comparison.cells),
    }
    files = {"report.csv": cells + oracle.partition("\n")[2], "runs.csv": runs.csv()}
    return files | {name: table.csv() for name, table in tables.items() if table.rows}


def _details(comparison: Comparison, embedding: str) -> tuple[list[Detail], int]:
    """Draw the run with the lowest seed of every cell, up to `DETAIL_BYTES`; return also how many cells are left out.

    A run that does not fit is left out, and later ones may fit.

    The best run of a cell is not preferred, because its plots would look better than those of a typical run.
    """
    details, size = [], 0
    chosen: list[Run] = [cell.first for cell in comparison.cells]
    for run in chosen:
        found = detail(run, embedding)
        more = sum(len(str(plot)) for _, plot in found.plots) + sum(len(each.png) for each in found.mistakes)
        if size + more <= DETAIL_BYTES:
            size += more
            details.append(found)
    return details, len(comparison.cells) - len(details)
