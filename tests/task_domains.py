"""The synthetic domains of the other tests, with other tasks than one class a sample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dusk import CLASSES, dusk
from landbridge.data.domain import Domain, Split
from landbridge.data.labels import Labels
from landbridge.tasks import Classification, MultiLabel, Regression, Several, Task

NUMBER = Regression(("size",))


def _with(task: Task, name: str, shift: float, labels: Callable[[Tensor, Tensor], Tensor]) -> Domain:
    """Return the domain with other labels, a function of its classes (n,) and noise (n,)."""
    honest, splits = dusk(name, shift), {}
    for split, part in honest.splits.items():
        classes = part.labels.open("to make other labels")
        noise = torch.randn(len(classes), generator=torch.Generator().manual_seed(len(split)))
        splits[split] = Split(part.inputs, Labels(task.to_labels(labels(classes, noise)), task, f"{name} {split}"))
    return Domain(name, task, splits)


def measured(name: str, shift: float = 0.0) -> Domain:
    """Make a domain with one number a sample."""
    return _with(NUMBER, name, shift, lambda y, noise: y + 0.1 * noise)


def tagged(name: str, shift: float = 0.0) -> Domain:
    """Make a domain with one or two classes a sample."""
    task = MultiLabel(CLASSES)
    return _with(task, name, shift, lambda y, noise: one_hot(y, 3) | (noise > 0)[:, None] * one_hot((y + 1) % 3, 3))


def both(name: str, shift: float = 0.0) -> Domain:
    """Make a domain with a class and a number. Some samples lack the number."""
    task = Several({"shape": Classification(CLASSES), "size": NUMBER})

    def labels(y: Tensor, noise: Tensor) -> Tensor:
        return torch.stack([y.float(), torch.where(noise > 1, torch.nan, y + 0.1 * noise)], 1)

    return _with(task, name, shift, labels)
