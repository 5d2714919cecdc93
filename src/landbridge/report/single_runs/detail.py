"""What a report shows of one run."""

from dataclasses import dataclass, field

from landbridge.report.runs import Run
from landbridge.report.svg import Plot
from landbridge.report.tables.table import Table


@dataclass
class Mistake:
    """A wrong prediction with its picture.

    Attributes:
        png: a PNG file as base64 text.
        label: the truth.
        predicted: the prediction.
        how: how wrong it is: the confidence of a wrong class, or an error.
        sample: path or row of the sample; empty if the run did not keep it.
    """

    png: str
    label: str
    predicted: str
    how: str
    sample: str = ""


@dataclass
class Detail:
    """The plots and pictures of one run.

    Attributes:
        run: the run.
        plots: captions and plots.
        tables: captions and tables.
        mistakes: wrong predictions on the target's test split, the most confident or the largest error first.
        mistakes_title: the title above them.
        missing: descriptions of missing plots, each with the reason.
    """

    run: Run
    plots: list[tuple[str, Plot]] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    mistakes_title: str = ""
    missing: list[str] = field(default_factory=list)
