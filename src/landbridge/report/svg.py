"""Drawing primitives: scales with round ticks, and a plot that is written as inline SVG.

Colours are CSS classes (`s0` to `s7`, `helps`, `harms`, `undecided`). The style sheet of the page defines them, so that
one drawing works in light mode, in dark mode and in print. Every mark has its values in a `<title>` element. Browsers
show this text on hover, and the script of the page also shows it on keyboard focus.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

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
        self.parts: list[Markup] = []

    def __html__(self) -> str:
        size = {"viewBox": f"0 0 {self.width:g} {self.height:g}", "style": f"max-width:{self.width:g}px"}
        drawn = Markup("").join(self.parts)
        return element("svg", drawn, class_="plot", role="img", **size, aria_label=self.label)

    def __str__(self) -> str:
        return self.__html__()

    def draw(self, tag: str, tip: str = "", **attributes: str | float | None) -> None:
        """Add an element. Its tip is shown on hover."""
        self.parts.append(element(tag, element("title", tip) if tip else "", **attributes))

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> None:
        """Draw a straight line."""
        self.draw("line", class_=kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def text(self, x: float, y: float, text: str, anchor: str = "middle", kind: str = "", turned: bool = False) -> None:
        """Write a line of text."""
        turn = f"rotate(-90 {x:g} {y:g})" if turned else None
        self.parts.append(element("text", text, class_=kind or None, x=x, y=y, text_anchor=anchor, transform=turn))

    def path(self, points: Sequence[tuple[float, float]], kind: str, dash: str = "", tip: str = "") -> None:
        """Draw a line through points."""
        steps = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.draw("polyline", tip, class_=kind, stroke_dasharray=dash or None, points=steps)

    def band(self, lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], kind: str) -> None:
        """Fill the area between two lines."""
        steps = " ".join(f"{x:g},{y:g}" for x, y in [*lower, *reversed(upper)])
        self.draw("polygon", class_=f"band {kind}", points=steps)

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
            self.draw("path", tip, class_=f"mark {kind}", d=corners[shape])
        else:
            self.draw("circle", tip, class_=f"mark {kind}", cx=x, cy=y, r=size)

    def rect(
        self, x: float, y: float, width: float, height: float, kind: str, tip: str = "", opacity: float = 1
    ) -> None:
        """Draw a rectangle."""
        see = f"{opacity:.2f}" if opacity < 1 else None
        self.draw("rect", tip, class_=kind, x=x, y=y, width=width, height=height, fill_opacity=see)

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


def element(tag: str, content: str = "", **attributes: str | float | None) -> Markup:
    """Write an element of SVG. This is the only place that writes tags, and it escapes everything it is given.

    Args:
        tag: name of the element.
        content: text, which is escaped, or other elements.
        **attributes: by name, with `_` for `-` and behind names that Python reserves; None: the attribute is left out.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(
            name.rstrip("_").replace("_", "-"), f"{value:g}" if isinstance(value, float | int) else value
        )
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(tag, written, content)


def colour(number: int) -> str:
    """Return the CSS class for the colour of a series."""
    return f"s{number % COLOURS}"


def dash(number: int) -> str:
    """Return the dash pattern of a series. It changes each time the colours repeat."""
    return DASHES[number // COLOURS % len(DASHES)]
