"""Scores and gains of cells as text."""

from landbridge.report.cells import Cell
from landbridge.report.numbers import interval_text


def score_text(cell: Cell) -> str:
    """Write the mean score of a cell with its interval."""
    write = cell.metric.text
    return f"{write(cell.mean)} {interval_text(cell.interval, write, len(cell.runs))}"


def verdict_text(cell: Cell) -> str:
    """Write the verdict of a cell; a dash if there is none."""
    return cell.verdict or "—"


def gain_text(cell: Cell) -> str:
    """Write the gain of a cell over its reference with its interval; return "" if there is no verdict."""
    judgement, write = cell.judgement, cell.metric.change
    if not judgement:
        return ""
    return f"{write(judgement.gain)} {interval_text(judgement.interval, write, judgement.seeds)}"
