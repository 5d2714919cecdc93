"""The images of `dusk` with other tasks than classification, and a linear problem, for tests.

Some labels are missing, as in real data.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from dusk import CLASSES, drawn, split_in_order
from landbridge.data.domain import Domain, Split, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels
from landbridge.tasks import Classification, MultiLabel, Regression, Several, Task, shown

Kind = Literal["regression", "multi_label", "several"]
TASKS: Mapping[str, Task] = {
    "regression": Regression(("row", "column")),
    "multi_label": MultiLabel(("horizontal", "vertical", "low")),
    "several": Several({"shape": Classification(CLASSES), "place": Regression(("row",))}),
}


def dusk_task(name: str, kind: Kind, shift: float = 0.0, n: int = 60, seed: int = 0) -> Domain:
    """Make the images of `dusk` with the labels of another task.

    `regression` is row and column of the strokes, where every seventh column is missing. `multi_label` is which strokes
    there are and whether the row is low, where every fifth of the last is missing. `several` is the class, where every
    eighth is missing, and the row, which a beam lacks.
    """
    inputs, classes, places = drawn(name, shift, n, seed)
    row, column = places.float().T
    which, missing = torch.arange(n), torch.tensor(math.nan)
    columns = {
        # The column is in other units than the row.
        "regression": [row, (1000 + 50 * column).where(which % 7 != 6, missing)],
        "multi_label": [classes != 1, classes != 0, (row > 11).float().where(which % 5 != 4, missing)],
        "several": [classes.float().where(which % 8 != 7, missing), (100 * row).where(classes != 1, missing)],
    }[kind]
    labels = torch.stack([values.float() for values in columns], dim=1)
    return domain_from_positions(name, TASKS[kind], inputs, labels, split_in_order(n))


def lying_task(
    name: str,
    kind: Kind,
    budget: Annotated[int, Ge(0)] | Literal["all"] = 0,
    label_seed: int = 0,
    shift: float = 0.0,
) -> Domain:
    """Make the same domain, but with another value for every label that `budget` and the run's seed hide.

    All test labels are other ones, because no budget shows them.
    """
    honest = dusk_task(name, kind, shift)
    generator = torch.Generator().manual_seed(1)

    def lie(split: str) -> Labels:
        labels = honest.splits[split].labels
        truth = labels.open("to make wrong labels")
        garbage = _garbage(kind, truth, generator)
        visible = labels.visible(0 if split == "test" else budget, label_seed, at_most=True)
        # A budget could show a sample that lacks all labels as soon as it had one, so such a sample keeps lacking them.
        kept = shown(visible) | ~shown(truth)
        return Labels(torch.where(kept.unsqueeze(1), truth, garbage), honest.task, labels.where)

    return Domain(name, honest.task, {split: Split(part.inputs, lie(split)) for split, part in honest.splits.items()})


def _garbage(kind: Kind, truth: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.rand(truth.shape, generator=generator)
    if kind == "multi_label":
        return (noise > 0.5).float()
    if kind == "several":
        noise[:, 0] = (noise[:, 0] * len(CLASSES)).floor()
        noise[:, 1] *= 1e6
        return noise
    return noise * 1e6


def linear(name: str, n: int = 300, noise: float = 0.1, far: float = 0.0, seed: int = 0) -> Domain:
    """Make vectors with two numbers that depend on them linearly, in units far from 0 and 1.

    Args:
        name: of the domain.
        n: number of samples.
        noise: share of noise in the numbers.
        far: added to all vectors.
        seed: of the vectors.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator) + far
    slopes = torch.tensor([[3.0, -1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 1.0, 0.0, -2.0]])
    numbers = x @ slopes.T + noise * torch.randn(n, 2, generator=generator)
    labels = torch.stack([20 + numbers[:, 0], 4000 + 300 * numbers[:, 1]], dim=1)
    task = Regression(("temperature", "pressure"))
    return domain_from_positions(name, task, TensorInputs(x), labels, split_in_order(n))
