"""Numbers as text. A number without an interval is followed by the number of seeds, such as (n=1)."""

from collections.abc import Callable

from landbridge.statistics import Interval


def share(value: float) -> str:
    """Write a share of 1 in percent with the % sign, such as `12.3 %`."""
    return f"{100 * value:.1f} %"


def percent(value: float) -> str:
    """Write a share of 1 in percent without the % sign, such as `12.3`."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """Write a difference of shares in percentage points with its sign, such as `+1.2`."""
    # Adding 0 turns "-0.0" into "+0.0", because "-0.0" looks like a loss.
    return f"{round(100 * value, 1) + 0:+.1f}"


def significant(value: float) -> str:
    """Write a number with three significant digits, such as `0.500`, `12.3` or `12,300`."""
    rounded = float(f"{value:.3g}") + 0
    if abs(rounded) >= 1000:
        return f"{rounded:,.0f}"
    return f"{rounded:#.3g}".removesuffix(".") if rounded else "0"


def signed(value: float) -> str:
    """Write a difference with three significant digits and its sign, such as `+0.0123`."""
    return f"+{text}" if (text := significant(value))[0] != "-" else text


def interval_text(
    interval: Interval | tuple[float, float] | None, write: Callable[[float], str] = percent, n: int = 1
) -> str:
    """Write an interval in brackets, such as `[1.0, 2.0]`; without an interval write the number of seeds `(n=1)`."""
    if interval is None:
        return f"(n={n})"
    low, high = (interval.low, interval.high) if isinstance(interval, Interval) else interval
    return f"[{write(low)}, {write(high)}]"


def plural(number: int, noun: str) -> str:
    """Write a number and a noun, with a plural s unless the number is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def count(value: float | None) -> str:
    """Write a number with commas between thousands."""
    return "" if value is None else f"{value:,.0f}"


def megabytes(value: float | None) -> str:
    """Write a number of bytes in MB."""
    return "" if value is None else f"{value / 1e6:,.0f} MB"


def seconds(value: float | None) -> str:
    """Write a number of seconds with one decimal."""
    return "" if value is None else f"{value:,.1f}"
