"""Matrices of verdicts, source by target."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.report.cell_text import gain_text, score_text
from landbridge.report.cells import Cell, Comparison
from landbridge.report.runs import Method


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


def judged_methods(comparison: Comparison) -> list[Method]:
    """Return the methods that have a verdict on some pair."""
    return [method for method in comparison.methods if any(c.method == method for c in comparison.judged)]


def matrices(comparison: Comparison) -> list[Matrix]:
    """Return the matrix of all methods, if there are several, and that of each method."""
    sources = list(dict.fromkeys(str(pair.source) for pair in comparison.pairs))
    targets = list(dict.fromkeys(pair.target for pair in comparison.pairs))
    by_pair = {pair: [cell for cell in comparison.judged if cell.pair == pair] for pair in comparison.pairs}
    methods = judged_methods(comparison)
    found = []
    if len(methods) > 1:
        squares = {(str(pair.source), pair.target): _overview(cells) for pair, cells in by_pair.items()}
        found.append(Matrix(f"all {len(methods)} methods", sources, targets, squares))
    for method in methods:
        squares = {
            (str(pair.source), pair.target): _square(cell)
            if (cell := comparison.at(method, pair))
            else Square("", ["no run"])
            for pair in comparison.pairs
        }
        found.append(Matrix(str(method), sources, targets, squares))
    return found


def _overview(cells: Sequence[Cell]) -> Square:
    if not cells:
        return Square("", ["no comparison yet"])
    verdicts = Counter(cell.verdict for cell in cells)
    # Undecided methods do not change the colour. Methods that help next to methods that harm give "mixed".
    decided = [verdict for verdict in ("helps", "harms") if verdicts[verdict]]
    kind = decided[0] if len(decided) == 1 else "mixed" if decided else "undecided"
    counts = " · ".join(f"{verdicts[name]} {name}" for name in ("helps", "harms", "undecided") if verdicts[name])
    gains = sorted(cell.gain for cell in cells)
    change = cells[0].metric.change
    references = dict.fromkeys(cell.judgement.reference for cell in cells if cell.judgement)
    return Square(kind, [counts, f"gains {change(gains[0])} to {change(gains[-1])}", f"vs {', '.join(references)}"])


def _square(cell: Cell) -> Square:
    judgement = cell.judgement
    if not judgement:
        return Square("", ["no verdict", cell.reason])
    lines = [judgement.verdict, gain_text(cell), f"vs {cell.reference_name}", *cell.flags]
    return Square(judgement.verdict, lines, f"{score_text(cell)}; {judgement.reason}")
