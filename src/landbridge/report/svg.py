"""Drawing primitives: scales with round ticks, and a plot that is written as inline SVG.

Colours are CSS classes (`s0` to `s7`, `helps`, `harms`, `undecided`). The style sheet of the page defines them, so that
one drawing works in light mode, in dark mode and in print. Every mark has its values in a `<title>` element. Browsers
show this text on hover, and the script of the page also shows it on keyboard focus.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: Number of colours. Further series repeat the colours with another dash.
COLOURS = 8
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Scale:
    """Map from values to pixels.

    Args:
        low: smallest value.
        high: largest value.
        start: pixel of the smallest value.
        end: pixel of the largest value.
        logarithmic: whether equal ratios are equal distances.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, value = (math.log10(v) if self.logarithmic else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round values between `low` and `high`, about as many as `about` on a linear scale."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            found: list[float] = []
            for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
                values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
                found = [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]
                if len(found) > 2:
                    break
            return found
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = 10.0 ** math.floor(math.log10(span / about))
        step = next(rough * factor for factor in (1, 2, 5, 10) if span / (rough * factor) <= about)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) for i in range(first, last + 1)]


def padded(values: Sequence[float], share: float = 0.06, logarithmic: bool = False) -> tuple[float, float]:
    """Return limits that are a little wider than the range of the values."""
    low, high = min(values), max(values)
    if logarithmic:
        factor = (high / low) ** share if high > low else 2.0
        return low / factor, high * factor
    margin = (high - low) * share or abs(high) * share or 1.0
    return low - margin, high + margin


class Plot:
    """A drawing that scales with the width of the page.

    Args:
        width: width in pixels before scaling.
        height: height in pixels before scaling.
        label: description of the plot for screen readers.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width = width
        self.height = height
        self.label = label
        self.parts: list[str] = []

    def __str__(self) -> str:
        size = f'viewBox="0 0 {self.width:g} {self.height:g}" style="max-width:{self.width:g}px"'
        return f'<svg class="plot" role="img" {size} aria-label="{escape(self.label)}">{"".join(self.parts)}</svg>'

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> None:
        """Draw a straight line."""
        self.parts.append(f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "middle", kind: str = "", turned: bool = False) -> None:
        """Write a line of text."""
        turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
        kind = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text{kind} x="{x:g}" y="{y:g}" text-anchor="{anchor}"{turn}>{escape(text)}</text>')

    def path(self, points: Sequence[tuple[float, float]], kind: str, dash: str = "", tip: str = "") -> None:
        """Draw a line through points."""
        steps = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline class="{kind}"{dash} points="{steps}">{title(tip)}</polyline>')

    def band(self, lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], kind: str) -> None:
        """Fill the area between two lines."""
        steps = " ".join(f"{x:g},{y:g}" for x, y in [*lower, *reversed(upper)])
        self.parts.append(f'<polygon class="band {kind}" points="{steps}"/>')

    def mark(self, x: float, y: float, kind: str, tip: str, shape: int = 0, size: float = 4.5) -> None:
        """Draw a mark that shows its values on hover. The shape helps readers who cannot tell colours apart."""
        corners: Mapping[int, str] = {
            1: f"M{x - size:g} {y - size:g}h{2 * size:g}v{2 * size:g}h{-2 * size:g}z",
            2: f"M{x:g} {y - 1.3 * size:g}l{1.2 * size:g} {2.2 * size:g}h{-2.4 * size:g}z",
            3: f"M{x:g} {y - 1.4 * size:g}l{1.4 * size:g} {1.4 * size:g}l{-1.4 * size:g} {1.4 * size:g}"
            f"l{-1.4 * size:g} {-1.4 * size:g}z",
            4: f"M{x:g} {y + 1.3 * size:g}l{1.2 * size:g} {-2.2 * size:g}h{-2.4 * size:g}z",
        }
        if shape in corners:
            self.parts.append(f'<path class="mark {kind}" d="{corners[shape]}">{title(tip)}</path>')
        else:
            self.parts.append(f'<circle class="mark {kind}" cx="{x:g}" cy="{y:g}" r="{size:g}">{title(tip)}</circle>')

    def rect(
        self, x: float, y: float, width: float, height: float, kind: str, tip: str = "", opacity: float = 1
    ) -> None:
        """Draw a rectangle."""
        see = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        size = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self.parts.append(f'<rect class="{kind}" {size}{see}>{title(tip)}</rect>')

    def axes(
        self,
        x: Scale,
        y: Scale,
        x_title: str,
        y_title: str,
        x_ticks: Mapping[float, str] | None = None,
        y_tick: Callable[[float], str] = "{:g}".format,
    ) -> None:
        """Draw grid, ticks and titles. `y_tick` writes the values on the y axis."""
        for value in y.ticks():
            self.line(x.start, y(value), x.end, y(value), "grid")
            self.text(x.start - 6, y(value) + 4, y_tick(value), "end")
        for value, text in (x_ticks or {value: f"{value:g}" for value in x.ticks()}).items():
            self.line(x(value), y.start, x(value), y.start + 4)
            self.text(x(value), y.start + 17, text)
        self.line(x.start, y.start, x.end, y.start)
        self.text((x.start + x.end) / 2, y.start + 34, x_title)
        self.text(12, (y.start + y.end) / 2, y_title, turned=True)


def title(tip: str) -> str:
    """Return the `<title>` element that browsers show on hover; empty for an empty text."""
    return f"<title>{escape(tip)}</title>" if tip else ""


def colour(number: int) -> str:
    """Return the CSS class for the colour of a series."""
    return f"s{number % COLOURS}"


def dash(number: int) -> str:
    """Return the dash pattern of a series. It changes each time the colours repeat."""
    return DASHES[number // COLOURS % len(DASHES)]
