"""Any number of classes a sample."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics.classification import MultilabelAUROC, MultilabelAveragePrecision, MultilabelF1Score

from landbridge.tasks.metrics import Mean, Metrics, mean_of, undefined_classes
from landbridge.tasks.task import Task


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of classes a sample. Labels are 0, 1 or nan where hidden (n, classes), outputs are logits.

    A label budget is a number of samples. Splits are stratified by the rarest class that a sample has. A sample's score
    is the average precision over its classes: how far the classes that it has are ranked before the others.

    Attributes:
        classes: class names.
    """

    classes: tuple[str, ...]
    kind: ClassVar = "multi_label"
    leading: ClassVar = "mean_average_precision"
    shown_metrics: ClassVar = {
        "mean_average_precision": "mean average precision",
        "auroc": "AUROC",
        "macro_f1": "macro F1",
    }

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Mean binary cross-entropy over the classes whose label is there, in nats."""
        seen = ~y.isnan()
        each = binary_cross_entropy_with_logits(outputs, torch.where(seen, y, 0.0), reduction="none")
        return torch.where(seen, each, 0.0).sum(1) / seen.sum(1).clamp(min=1)

    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Average precision over each sample's classes; 1 for a sample that has none or all of them."""
        order = outputs.argsort(dim=1, descending=True, stable=True)
        hits = y.nan_to_num().gather(1, order).double()
        precision = hits.cumsum(1) / torch.arange(1, hits.shape[1] + 1, device=hits.device)
        count = hits.sum(1)
        return torch.where(count > 0, (precision * hits).sum(1) / count.clamp(min=1), 1.0)

    def metrics(self) -> "MultiLabelMetrics":
        """Return mean average precision and further metrics."""
        return MultiLabelMetrics(self.classes)

    def to_labels(self, values: Tensor) -> Tensor:
        """Return float32 labels (n, classes)."""
        if values.ndim != 2 or values.shape[1] != len(self.classes):
            raise ValueError(f"labels of several classes are (n, {len(self.classes)}), not {tuple(values.shape)}")
        return values.float()

    def strata(self, y: Tensor) -> Tensor:
        """Stratify by the rarest class that a sample has; samples without a class are a stratum of their own."""
        has = y.nan_to_num() > 0
        rarity = torch.where(has, has.sum(0), len(y) + 1)
        return torch.where(has.any(1), rarity.argmin(1), y.shape[1])


class MultiLabelMetrics(Metrics):
    """Average precision, AUROC and F1 for each class, and their means.

    Args:
        classes: class names.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        k = len(classes)
        self.precision = MultilabelAveragePrecision(k, average="none", thresholds=None, ignore_index=-1)
        self.auroc = MultilabelAUROC(k, average="none", thresholds=None, ignore_index=-1)
        self.f1 = MultilabelF1Score(k, average="macro", ignore_index=-1)
        self.nll = Mean()
        self.positive = torch.zeros(k, dtype=torch.long)
        self.negative = torch.zeros(k, dtype=torch.long)
        self.n = 0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch of logits (b, classes) and labels (b, classes); labels that are nan do not count."""
        outputs, y = outputs.float().cpu(), y.float().cpu()
        labels = y.nan_to_num(nan=-1.0).long()
        for metric in (self.precision, self.auroc, self.f1):
            metric.update(outputs.sigmoid(), labels)
        self.nll.add(MultiLabel(self.classes).losses(outputs, y))
        self.positive += (labels == 1).sum(0)
        self.negative += (labels == 0).sum(0)
        self.n += len(y)

    def compute(self) -> dict[str, Any]:
        """Return shares of 1, but for `nll` in nats.

        A class without positive samples has no average precision, and one without negative samples no AUROC either.
        Such classes are named under `undefined`, and no mean counts them.
        """
        there, both = self.positive > 0, (self.positive > 0) & (self.negative > 0)
        with undefined_classes():
            precision, auroc = self.precision.compute(), self.auroc.compute()
        return {
            "n": self.n,
            "mean_average_precision": mean_of(precision[there]),
            "auroc": mean_of(auroc[both]),
            "macro_f1": float(self.f1.compute()),
            "nll": self.nll.value(),
            "average_precision_by_class": {
                self.classes[k]: float(precision[k]) for k in there.nonzero().flatten().tolist()
            },
            "undefined": [self.classes[k] for k in (~both).nonzero().flatten().tolist()],
        }
