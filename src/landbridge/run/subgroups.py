"""Metrics of the subgroups of a test split, such as those of each hospital or of each domain of a union."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from landbridge.statistics import wilson_interval
from landbridge.tasks import Task

#: Values of an attribute that a record lists; an attribute with more values is a number or an identifier.
MOST_VALUES = 50
#: Resamples of a subgroup for the interval of a metric that is no mean of right and wrong.
RESAMPLES = 500


def subgroups(
    task: Task, outputs: Tensor, labels: Tensor, attributes: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Compute the leading metric of every subgroup.

    Args:
        task: what is predicted.
        outputs: of the network (n, k).
        labels: of the same samples (n, ...).
        attributes: by name, the value of each sample.

    Returns:
        by attribute and value: `n`, the leading metric, and the ends `low` and `high` of its 95 % interval. For an
        accuracy it is Wilson's interval, for other metrics the percentiles of a bootstrap over samples.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, values in attributes.items():
        distinct = sorted(set(values))
        if 1 < len(distinct) <= MOST_VALUES:
            rows = {value: torch.tensor([i for i, each in enumerate(values) if each == value]) for value in distinct}
            found[name] = {value: _judged(task, outputs[where], labels[where]) for value, where in rows.items()}
    return found


def _judged(task: Task, outputs: Tensor, labels: Tensor) -> dict[str, Any]:
    score = task.score(outputs, labels)
    if task.has_classes:
        right = task.sample_scores(outputs, labels)
        right = right[~right.isnan()]
        interval = wilson_interval(int(right.sum()), len(right)) if len(right) else None
        low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
    else:
        low, high = _bootstrap(task, outputs, labels)
    return {"n": len(labels), task.leading: score, "low": low, "high": high}


def _bootstrap(task: Task, outputs: Tensor, labels: Tensor) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(len(labels), (len(labels),), generator=generator) for _ in range(RESAMPLES)]
    scores = torch.tensor([task.score(outputs[draw], labels[draw]) for draw in draws], dtype=torch.double)
    low, high = scores.nanquantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return low, high
