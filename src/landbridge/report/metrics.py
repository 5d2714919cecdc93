"""The metrics that reports know, with title, unit and direction; and how their values are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landbridge.report.numbers import percent, points, share, signed, significant


@dataclass(frozen=True)
class Metric:
    """A metric of test results.

    Attributes:
        key: its name in records. Dots lead to numbers inside, such as `by_task.digit.accuracy`.
        title: its name on the page.
        is_share: whether its values are shares of 1. They are written in %, and their differences in points. Other
            values are written with three significant digits.
        lower: whether lower values are better.
        top: the best value, if values near it can be compared by absolute differences; None if there is none.
    """

    key: str
    title: str
    is_share: bool = False
    lower: bool = False
    top: float | None = None

    @property
    def sign(self) -> int:
        """1 if higher values are better, else -1. Value times sign is higher for better runs."""
        return -1 if self.lower else 1

    @property
    def label(self) -> str:
        """Title with unit, for axes and columns."""
        return f"{self.title}, %" if self.is_share else self.title

    @property
    def sentence(self) -> str:
        """Title with a capital letter and unit, for the start of a sentence."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def gain_unit(self) -> str:
        """The unit of gains, after a number: `points`, or `in R2`."""
        return "points" if self.is_share else f"in {self.title}"

    @property
    def gain_label(self) -> str:
        """The unit of gains, on axes and in columns."""
        return "points" if self.is_share else self.title

    def text(self, value: float) -> str:
        """Write a value without unit, such as `12.3` for a share of .123."""
        return percent(value) if self.is_share else significant(value)

    def full(self, value: float) -> str:
        """Write a value with unit, such as `12.3 %`."""
        return share(value) if self.is_share else significant(value)

    def change(self, value: float) -> str:
        """Write a difference of values with its sign, such as `+1.2` for a difference of shares of .012."""
        return points(value) if self.is_share else signed(value)

    def tick(self, value: float) -> str:
        """Write a round value on an axis."""
        return f"{100 * value:g}" if self.is_share else f"{value:g}"

    def small(self, value: float) -> float:
        """Return a difference that does not matter: 0.01 below a best value of 1, else one hundredth of a value."""
        return 0.01 if self.top == 1 else 0.01 * abs(value)


def _share(key: str, title: str, lower: bool = False) -> Metric:
    return Metric(key, title, is_share=True, lower=lower, top=None if lower else 1)


KNOWN = {
    metric.key: metric
    for metric in (
        _share("accuracy", "accuracy"),
        _share("macro_f1", "macro F1"),
        _share("balanced_accuracy", "balanced accuracy"),
        _share("top5_accuracy", "top-5 accuracy"),
        _share("auroc", "AUROC"),
        _share("average_precision", "average precision"),
        _share("mean_average_precision", "mean average precision"),
        _share("ece", "calibration error", lower=True),
        Metric("nll", "negative log-likelihood", lower=True),
        Metric("r2", "R2", top=1),
        Metric("mae", "mean absolute error", lower=True),
        Metric("rmse", "root mean squared error", lower=True),
        Metric("mean", "mean of the tasks", top=1),
    )
}


def declared(task: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the metrics that a task shows, and those of the tasks inside it, from its description in a record."""
    inside = [declared(each) for each in task.get("tasks", {}).values()]
    facts = task.get("metrics", {})
    own = {key: Metric(key, **({"title": title} | facts.get(key, {}))) for key, title in task.get("shown", {}).items()}
    return {key: metric for each in (*inside, own) for key, metric in each.items()}


def metric_of(key: str, task: Mapping[str, Any] | None = None) -> Metric:
    """Return the metric with a name in records. Of an unknown metric, values are plain numbers, and higher is better.

    Args:
        key: the name, such as `accuracy`, `accuracy_at_start` or `by_task.digit.accuracy`.
        task: the description of a task, which may declare metrics of its own.
    """
    known_metrics = declared(task or {}) | KNOWN
    if key in known_metrics:
        return known_metrics[key]
    *parents, last = key.split(".")
    # The metric may stand at the front (accuracy_by_class.bar, accuracy_at_start) or at the end (by_task.digit.mae).
    for name in (last, *parents[:1]):
        base = name.partition("_by_")[0].partition("_at_")[0]
        if base in known_metrics:
            known = known_metrics[base]
            rest = [part for part in (*parents, last) if part != base]
            more = " ".join(part.removeprefix(base).strip("_").replace("_", " ") for part in rest)
            return Metric(key, f"{known.title} ({more})", known.is_share, known.lower, known.top)
    return Metric(key, key.replace("_", " "))
