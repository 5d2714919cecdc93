"""Make the report: collect everything that the HTML page, the Markdown file and the CSV files show."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from landbridge.report import charts, curves, run_tables, tables
from landbridge.report.advice import Advice, advise
from landbridge.report.answer import Answer, answer, compared
from landbridge.report.cells import Cell, Comparison
from landbridge.report.collect import Collection
from landbridge.report.compare import compare
from landbridge.report.details import Detail, detail
from landbridge.report.numbers import gain_text, points, score_text
from landbridge.report.ranking import Ranks, rank
from landbridge.report.rules import rule_rows
from landbridge.report.runs import Method, Run
from landbridge.report.svg import Plot
from landbridge.report.table import Table

TEMPLATES = Path(__file__).parent / "templates"
#: Most bytes of plots and pictures of single runs on a page. The page states how many runs were left out.
DETAIL_BYTES = 8_000_000
#: With at most this many methods the page shows all matrices at once. With more it shows one at a time.
MATRICES_AT_ONCE = 3


@dataclass
class Square:
    """One cell of a matrix source x target."""

    verdict: str
    lines: list[str]
    tip: str = ""


@dataclass
class Matrix:
    """Verdicts by source (rows) and target (columns): those of one method, or the counts over all methods."""

    name: str
    sources: list[str]
    targets: list[str]
    squares: dict[tuple[str, str], Square]


@dataclass
class Figure:
    """Plots under one heading, with a note on how to read them."""

    title: str
    plots: list[tuple[str, Plot]]
    note: str = ""


@dataclass
class Report:
    """The content of a report."""

    title: str
    metric: str
    made: str
    found: Collection
    comparison: Comparison
    answer: Answer
    advice: list[Advice]
    compared: list[tuple[str, str]]
    matrices: list[Matrix]
    forests: list[tuple[str, Plot]]
    ranks: Ranks | None
    rank_plot: Plot | None
    figures: list[Figure]
    cells: Table
    oracle: Table
    wide: Table
    rules: Table
    runs: Table
    unfinished: Table
    details: list[Detail]
    left_out: int
    one_at_a_time: bool

    def html(self) -> str:
        """Return the HTML page. Style, script and pictures are inside, so that the page needs no other file."""
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string((TEMPLATES / "page.html.j2").read_text())
        parts = {
            name: Markup((TEMPLATES / file).read_text())
            for name, file in (("style", "page.css"), ("script", "page.js"))
        }
        return template.render(report=self, svg=lambda plot: Markup(str(plot)), **parts)

    def markdown(self) -> str:
        """Return the answer and the tables as Markdown, without plots."""
        environment = Environment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        return environment.from_string((TEMPLATES / "page.md.j2").read_text()).render(report=self)


def make(found: Collection, title: str, metric: str = "accuracy", embedding: str = "pca") -> Report:
    """Compare the collected runs, judge them and draw the plots.

    Args:
        found: the collected runs.
        title: title of the page.
        metric: the metric that the runs were collected with, `accuracy` or `macro_f1`.
        embedding: projection of test samples to the plane, `pca` or `tsne`.
    """
    comparison = compare(found.runs, found.unfinished)
    ranks, rules = rank(comparison), rule_rows(comparison.cells)
    details, left_out = _details(comparison, embedding)
    return Report(
        title=title,
        metric=metric,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        found=found,
        comparison=comparison,
        answer=answer(comparison),
        advice=advise(found, comparison, rules),
        compared=compared(found, comparison),
        matrices=_matrices(comparison),
        forests=_forests(comparison),
        ranks=ranks,
        rank_plot=charts.rank_line(ranks.ranks, ranks.difference) if ranks else None,
        figures=_figures(comparison),
        cells=tables.cell_table(comparison, metric),
        oracle=tables.oracle_table(comparison, metric),
        wide=tables.wide_table(comparison, ranks.ranks if ranks else {}),
        rules=tables.rule_table(rules),
        runs=run_tables.run_table(found.runs),
        unfinished=run_tables.unfinished_table(found.unfinished),
        details=details,
        left_out=left_out,
        one_at_a_time=len(_judged_methods(comparison)) > MATRICES_AT_ONCE,
    )


def _judged_methods(comparison: Comparison) -> list[Method]:
    return [method for method in comparison.methods if any(c.method == method for c in comparison.judged)]


def _matrices(comparison: Comparison) -> list[Matrix]:
    sources = list(dict.fromkeys(str(pair.source) for pair in comparison.pairs))
    targets = list(dict.fromkeys(pair.target for pair in comparison.pairs))
    by_pair = {pair: [cell for cell in comparison.judged if cell.pair == pair] for pair in comparison.pairs}
    methods = _judged_methods(comparison)
    matrices = []
    if len(methods) > 1:
        squares = {(str(pair.source), pair.target): _overview(cells) for pair, cells in by_pair.items()}
        matrices.append(Matrix(f"all {len(methods)} methods", sources, targets, squares))
    for method in methods:
        squares = {
            (str(pair.source), pair.target): _square(cell)
            if (cell := comparison.at(method, pair))
            else Square("", ["no run"])
            for pair in comparison.pairs
        }
        matrices.append(Matrix(str(method), sources, targets, squares))
    return matrices


def _overview(cells: Sequence[Cell]) -> Square:
    if not cells:
        return Square("", ["no comparison yet"])
    verdicts = Counter(cell.verdict for cell in cells)
    # Undecided methods do not change the colour. Methods that help next to methods that harm give "mixed".
    decided = [verdict for verdict in ("helps", "harms") if verdicts[verdict]]
    kind = decided[0] if len(decided) == 1 else "mixed" if decided else "undecided"
    counts = " · ".join(f"{verdicts[name]} {name}" for name in ("helps", "harms", "undecided") if verdicts[name])
    gains = sorted(cell.gain for cell in cells)
    references = dict.fromkeys(cell.judgement.reference for cell in cells if cell.judgement)
    return Square(kind, [counts, f"gains {points(gains[0])} to {points(gains[-1])}", f"vs {', '.join(references)}"])


def _square(cell: Cell) -> Square:
    judgement = cell.judgement
    if not judgement:
        return Square("", ["no verdict", cell.why_none])
    lines = [judgement.verdict, gain_text(cell), f"vs {cell.reference_name}", *cell.flags]
    return Square(judgement.verdict, lines, f"{score_text(cell)}; {judgement.reason}")


def _forests(comparison: Comparison) -> list[tuple[str, Plot]]:
    rows = [(pair, [cell for cell in comparison.judged if cell.pair == pair]) for pair in comparison.pairs]
    return [(str(pair), charts.forest(cells, str(pair))) for pair, cells in rows if cells]


def _figures(comparison: Comparison) -> list[Figure]:
    cells = [cell for cell in comparison.cells if not cell.oracle]
    figures = []
    for axis in curves.axes(cells):
        plots = [
            (str(pair), charts.lines(row, axis.key, "target accuracy, %", f"{axis.title}, {pair}", axis))
            for pair, row in axis.curves.items()
        ]
        note = "Mean over seeds; the band is Student's t interval at 95 %. All other settings are equal along a line."
        figures.append(Figure(axis.title, plots, note))
    transferring = [cell for cell in cells if cell.pair.source]
    timed = [
        (str(pair), charts.lines(row, "seconds of training", "validation accuracy, %", f"time to accuracy, {pair}"))
        for pair, row in curves.over_time(transferring).items()
    ]
    if timed:
        note = (
            "ORACLE: accuracy on the target's validation split. Its labels were read only after training. Seconds "
            "count the epochs of the run itself, not the training of the source model that start=source continues."
        )
        figures.append(Figure("Time to accuracy", timed, note))
    fronts = [(str(pair), charts.trades(row, f"frontier, {pair}")) for pair, row in curves.frontier(cells).items()]
    if fronts:
        note = (
            "Accuracy on the target against accuracy on the source. "
            "The line joins the Pareto-optimal methods: no other is at least equal in both and better in one."
        )
        figures.append(Figure("Generalisation and specialisation", fronts, note))
    priced = [
        (str(pair), charts.costs(row, f"cost, {pair}"))
        for pair in comparison.pairs
        if len(row := [c for c in transferring if c.pair == pair and c.median_cost("seconds")]) > 1
    ]
    if priced:
        figures.append(
            Figure(
                "Accuracy and cost",
                priced,
                "Seconds of a run: reading data, training and testing. Median over seeds.",
            )
        )
    return figures


def _details(comparison: Comparison, embedding: str) -> tuple[list[Detail], int]:
    """Draw the run with the lowest seed of every cell, up to `DETAIL_BYTES`; return also how many cells are left out.

    The best run of a cell is not preferred, because its plots would look better than those of a typical run.
    """
    details, size = [], 0
    chosen: list[Run] = [cell.first for cell in comparison.cells]
    for run in chosen:
        found = detail(run, embedding)
        size += sum(len(str(plot)) for _, plot in found.plots) + sum(len(each.png) for each in found.mistakes)
        if size > DETAIL_BYTES:
            break
        details.append(found)
    return details, len(comparison.cells) - len(details)
