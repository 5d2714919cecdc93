"""Judges outputs in random batches, and compares mappings of metrics."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from landbridge.tasks import Task


def in_batches(task: Task, outputs: torch.Tensor, y: torch.Tensor, data: st.DataObject) -> dict[str, Any]:
    """Return the metrics of a task that is given its samples in batches of drawn sizes."""
    cuts = data.draw(st.lists(st.integers(1, max(1, len(y) - 1)), max_size=4, unique=True).map(sorted))
    metrics = task.metrics()
    for own, labels in zip(outputs.tensor_split(cuts), y.tensor_split(cuts), strict=True):
        metrics.update(own, labels)
    return metrics.compute()


def approximately(metrics: Mapping[str, Any]) -> Any:
    """Return metrics that equal others up to 1e-6, in all mappings inside them."""
    return {
        name: approximately(value)
        if isinstance(value, Mapping)
        else pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True)
        if isinstance(value, float)
        else value
        for name, value in metrics.items()
    }
