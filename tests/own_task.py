"""A task of a kind that landbridge does not know, as a user would write it in one file."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import poisson_nll_loss

from dusk import drawn, split_in_order
from landbridge.data.domain import Domain, domain_from_positions
from landbridge.tasks import Metrics, Shown, Task


@dataclass(frozen=True)
class Counts(Task):
    """Counts: an output is the logarithm of a rate, and the loss is that of a Poisson distribution."""

    counted: tuple[str, ...]
    kind: ClassVar = "counts"
    leading: ClassVar = "fit"
    shown_metrics: ClassVar = {
        "fit": Shown("log-likelihood"),
        "bias": Shown("relative bias", is_share=True, lower=True, top=0),
    }

    @property
    def names(self) -> tuple[str, ...]:
        return self.counted

    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        return poisson_nll_loss(outputs, y, reduction="none").mean(1)

    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        return -self.losses(outputs, y)

    def metrics(self) -> "CountMetrics":
        return CountMetrics(self)

    def to_labels(self, values: Tensor) -> Tensor:
        return values.float().reshape(len(values), self.outputs)

    def strata(self, y: Tensor) -> Tensor:
        return y[:, 0].long()


class CountMetrics(Metrics):
    def __init__(self, task: Counts) -> None:
        self.task = task
        self.scores, self.predicted, self.counted = [], 0.0, 0.0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        self.scores += self.task.sample_scores(outputs.cpu(), y.cpu()).tolist()
        self.predicted += float(outputs.exp().sum())
        self.counted += float(y.sum())

    def compute(self) -> dict[str, Any]:
        fit = sum(self.scores) / len(self.scores)
        return {"n": len(self.scores), "fit": fit, "bias": abs(self.predicted / self.counted - 1), "undefined": []}


def strokes(name: str, shift: float = 0.0) -> Domain:
    """Make the images of `dusk` with the number of their strokes."""
    inputs, classes, _ = drawn(name, shift, 60, 0)
    return domain_from_positions(name, Counts(("strokes",)), inputs, 1 + (classes == 2).float(), split_in_order(60))
