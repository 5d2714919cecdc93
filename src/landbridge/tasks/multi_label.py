"""Any number of classes a sample."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_f1_score

from landbridge.tasks.metrics import Mean, Metrics, mean_of
from landbridge.tasks.task import Task


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of classes a sample. Labels are 0, 1 or nan where hidden (n, classes), outputs are logits.

    A label budget is a number of samples. Splits are stratified by the rarest class that a sample has. A sample's score
    is the average precision over its classes: how far the classes that it has are ranked before the others.

    Attributes:
        classes: class names.
        smoothing: see `Task`.
    """

    classes: tuple[str, ...]
    smoothing: float = 0.0
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
        smooth = torch.where(seen, y, 0.0)
        if self.smoothing:
            # Each label is a choice between two classes, yes and no.
            smooth = (1 - self.smoothing) * smooth + self.smoothing / 2
        each = binary_cross_entropy_with_logits(outputs, smooth, reduction="none")
        return torch.where(seen, each, 0.0).sum(1) / seen.sum(1).clamp(min=1)

    @property
    def can_be_smoothed(self) -> bool:
        """Labels are classes."""
        return True

    def smoothed(self, share: float) -> "MultiLabel":
        """Return the same task with label smoothing in its loss."""
        return replace(self, smoothing=share)

    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Average precision over each sample's classes, without hidden ones; 1 if it has none or all of them."""
        order = outputs.argsort(dim=1, descending=True, stable=True)
        ranked = y.gather(1, order).double()
        hits = ranked.nan_to_num()
        precision = hits.cumsum(1) / (~ranked.isnan()).cumsum(1).clamp(min=1)
        count = hits.sum(1)
        return torch.where(count > 0, (precision * hits).sum(1) / count.clamp(min=1), 1.0)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Sigmoid of each class."""
        return outputs.sigmoid()

    def answers(self, outputs: Tensor) -> dict[str, list[Any]]:
        """Return the classes of each sample, those with a probability of at least 0.5, and all probabilities."""
        by_class = self.probabilities(outputs)
        held = [
            [name for name, has in zip(self.classes, row, strict=True) if has] for row in (by_class >= 0.5).tolist()
        ]
        each = {f"p({name})": column.tolist() for name, column in zip(self.classes, by_class.T, strict=True)}
        return {"classes": held, **each}

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
        self.task = MultiLabel(classes)
        self.probabilities = [torch.zeros(0, len(classes), dtype=torch.double)]
        self.labels = [torch.zeros(0, len(classes))]
        self.nll = Mean()

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch of logits (b, classes) and labels (b, classes); labels that are nan do not count."""
        outputs, y = outputs.float().cpu(), y.float().cpu()
        # In single precision, the probabilities of all logits above 17 would be equal.
        self.probabilities.append(outputs.double().sigmoid())
        self.labels.append(y)
        self.nll.add(self.task.losses(outputs, y))

    def compute(self) -> dict[str, Any]:
        """Return shares of 1, but for `nll` in nats.

        A class without positive samples has no average precision, no F1 and no AUROC. A class without negative samples
        has no AUROC. Such classes are named under `undefined`, and those means do not count them.
        """
        probabilities, y = torch.cat(self.probabilities), torch.cat(self.labels)
        precision, f1, auroc = {}, {}, {}
        for name, outputs, column in zip(self.task.classes, probabilities.T, y.T, strict=True):
            seen = ~column.isnan()
            outputs, labels = outputs[seen], column[seen].long()
            if bool(labels.any()):
                precision[name] = float(binary_average_precision(outputs, labels))
                f1[name] = float(binary_f1_score(outputs, labels))
                if not bool(labels.all()):
                    auroc[name] = float(binary_auroc(outputs, labels))
        return {
            "n": len(y),
            "mean_average_precision": _mean(precision),
            "auroc": _mean(auroc),
            "macro_f1": _mean(f1),
            "nll": self.nll.value(),
            "average_precision_by_class": precision,
            "undefined": [name for name in self.task.classes if name not in auroc],
        }


def _mean(by_class: dict[str, float]) -> float:
    return mean_of(torch.tensor(list(by_class.values())))
