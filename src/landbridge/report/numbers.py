"""Numbers as a reader sees them; a number without an interval says n=1 beside it."""

from collections.abc import Callable

from landbridge.report.cells import Cell
from landbridge.statistics import Interval


def share(value: float) -> str:
    """Write a share of 1 in %."""
    return f"{100 * value:.1f} %"


def percent(value: float) -> str:
    """Write a share of 1 in %, without the sign."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """Write a difference of shares in percentage points."""
    # No "-0.0": it reads as if there were a loss.
    return f"{round(100 * value, 1) + 0:+.1f}"


def interval_text(
    interval: Interval | tuple[float, float] | None, write: Callable[[float], str] = percent, n: int = 1
) -> str:
    """Write an interval in brackets, or say how few seeds there are."""
    if interval is None:
        return f"(n={n})"
    low, high = (interval.low, interval.high) if isinstance(interval, Interval) else interval
    return f"[{write(low)}, {write(high)}]"


def score_text(cell: Cell) -> str:
    """Write a cell's mean with its interval."""
    return f"{percent(cell.mean)} {interval_text(cell.interval, percent, len(cell.runs))}"


def gain_text(cell: Cell) -> str:
    """Write a cell's gain over its reference with its interval; nothing where it has none."""
    judgement = cell.judgement
    if not judgement:
        return ""
    return f"{points(judgement.gain)} {interval_text(judgement.interval, points, judgement.seeds)}"


def plural(number: int, noun: str) -> str:
    """Write a number of things that take an s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def count(value: float | None) -> str:
    """Write a number of things with thousands apart."""
    return "" if value is None else f"{value:,.0f}"


def megabytes(value: float | None) -> str:
    """Write bytes in MB."""
    return "" if value is None else f"{value / 1e6:,.0f} MB"


def seconds(value: float | None) -> str:
    """Write a duration."""
    return "" if value is None else f"{value:,.1f}"
