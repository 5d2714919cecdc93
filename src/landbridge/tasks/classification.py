"""One class a sample."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassAveragePrecision,
    MulticlassF1Score,
)

from landbridge.errors import LandbridgeError
from landbridge.tasks.labels import HIDDEN, LabelBudget
from landbridge.tasks.metrics import CalibrationError, Mean, Metrics, mean_of, undefined_classes
from landbridge.tasks.task import ONE_CLASS, Task


@dataclass(frozen=True)
class Classification(Task):
    """One class a sample. Labels are class indices (n,), outputs are logits (n, classes).

    A label budget is a number per class. Splits are stratified by class. A sample's score is 1 if its prediction is
    right, and 0 if not.

    Attributes:
        classes: class names in the order of their indices.
        smoothing: see `Task`.
    """

    classes: tuple[str, ...]
    smoothing: float = 0.0
    kind: ClassVar = "classification"
    gives: ClassVar = frozenset({ONE_CLASS})
    leading: ClassVar = "accuracy"
    shown_metrics: ClassVar = {"accuracy": "accuracy", "macro_f1": "macro F1", "ece": "calibration error"}

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Cross-entropy in nats."""
        return cross_entropy(outputs, y, reduction="none", label_smoothing=self.smoothing)

    def loss(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """Mean cross-entropy in nats."""
        if weights is not None:
            return super().loss(outputs, y, scale, weights)
        return cross_entropy(outputs, y, label_smoothing=self.smoothing)

    @property
    def can_be_smoothed(self) -> bool:
        """Labels are classes."""
        return True

    def smoothed(self, share: float) -> "Classification":
        """Return the same task with label smoothing in its loss."""
        return replace(self, smoothing=share)

    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """1 where the largest logit is that of the class, else 0; nan where the class is hidden."""
        return (outputs.argmax(1) == y).double().where(y >= 0, torch.nan)

    def score(self, outputs: Tensor, y: Tensor) -> float:
        """Accuracy over the samples whose label is shown."""
        seen = y >= 0
        return float((outputs[seen].argmax(1) == y[seen]).float().mean())

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax; the probabilities of a sample sum to 1."""
        return outputs.softmax(1)

    def answers(self, outputs: Tensor) -> dict[str, list[Any]]:
        """Return the class of each sample and its probability."""
        probability, predicted = self.probabilities(outputs).max(1)
        return {"class": [self.classes[index] for index in predicted.tolist()], "probability": probability.tolist()}

    def condensed(self, outputs: Tensor) -> Tensor:
        """Return int16 classes (n,), -1 for samples with a logit that is not finite."""
        return outputs.argmax(1).where(outputs.isfinite().all(1), -1).to(torch.int16)

    def score_of_condensed(self, condensed: Tensor, y: Tensor) -> float:
        """Accuracy over the samples whose label is shown."""
        return float((condensed == y)[y >= 0].float().mean())

    def metrics(self) -> "ClassificationMetrics":
        """Return accuracy and what stands beside it."""
        return ClassificationMetrics(self.classes)

    def to_labels(self, values: Tensor) -> Tensor:
        """Return int64 class indices (n,)."""
        if values.ndim != 1:
            raise ValueError(f"class indices are (n,), not {tuple(values.shape)}")
        return values.long()

    def strata(self, y: Tensor) -> Tensor:
        """Stratify by class."""
        return y

    def within(self, y: Tensor, budget: LabelBudget, order: Tensor, at_most: bool, where: str) -> Tensor:
        """Each class shows its first samples in the order.

        Hidden labels could therefore hold anything that is no class, and the same samples would be shown.
        """
        if budget == "all":
            return y != HIDDEN
        taken = torch.zeros(len(y), dtype=torch.bool)
        for index, name in enumerate(self.classes):
            members = order[y[order] == index]
            if 0 < len(members) < budget and not at_most:
                smallest = min(int((y == other).sum()) for other in range(len(self.classes)))
                raise LandbridgeError(
                    f"target_labels={budget}: {where} has only {len(members)} samples of class '{name}'; "
                    f"ask for at most {smallest} or for all"
                )
            taken[members[:budget]] = True
        return taken


class ClassificationMetrics(Metrics):
    """Accuracy; macro F1, balanced accuracy, calibration, likelihood; one class against the rest.

    Args:
        classes: class names.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        k = len(classes)
        # One process tests all samples. The others do not take part, so waiting for them would never end.
        alone: Any = {"sync_on_compute": False}
        self.accuracy = MulticlassAccuracy(k, average="micro", **alone)
        self.macro_f1 = MulticlassF1Score(k, average="macro", **alone)
        self.by_class = MulticlassAccuracy(k, average="none", **alone)
        self.top5 = MulticlassAccuracy(k, average="micro", top_k=5, **alone) if k > 10 else None
        self.auroc = MulticlassAUROC(k, average="none", thresholds=None, **alone)
        self.precision = MulticlassAveragePrecision(k, average="none", thresholds=None, **alone)
        self.ece = CalibrationError()
        self.nll = Mean()
        self.support = torch.zeros(k, dtype=torch.long)

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch of logits (b, classes) and class indices (b,); samples whose class is hidden do not count."""
        outputs, y = outputs[y >= 0].float().cpu(), y[y >= 0].cpu()
        if not len(y):
            return
        predicted, probabilities = outputs.argmax(1), outputs.double().softmax(1)
        for metric in (self.accuracy, self.macro_f1, self.by_class):
            metric.update(predicted, y)
        for metric in (self.auroc, self.precision, *([self.top5] if self.top5 else [])):
            metric.update(probabilities, y)
        self.ece.add(probabilities.amax(1), predicted == y)
        self.nll.add(cross_entropy(outputs, y, reduction="none"))
        self.support += torch.bincount(y, minlength=len(self.classes))

    def compute(self) -> dict[str, Any]:
        """Return shares of 1, but for `nll` in nats.

        A class without test samples has no accuracy of its own, and one that has all of them has no AUROC either. Such
        classes are named under `undefined`, and no mean counts them.
        """
        present = self.support > 0
        rest = present & (self.support < self.support.sum())
        by_class = self.by_class.compute()
        with undefined_classes():
            auroc, precision = self.auroc.compute(), self.precision.compute()
        top5 = {"top5_accuracy": float(self.top5.compute())} if self.top5 else {}
        return {
            "n": int(self.support.sum()),
            "accuracy": float(self.accuracy.compute()),
            "macro_f1": float(self.macro_f1.compute()),
            "balanced_accuracy": mean_of(by_class[present]),
            **top5,
            "auroc": mean_of(auroc[rest]),
            "average_precision": mean_of(precision[present]),
            "ece": self.ece.value(),
            "nll": self.nll.value(),
            "accuracy_by_class": {self.classes[k]: float(by_class[k]) for k in present.nonzero().flatten().tolist()},
            "undefined": [self.classes[k] for k in (~rest).nonzero().flatten().tolist()],
        }
