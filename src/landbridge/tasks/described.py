"""Makes a task from its description in a record."""

from collections.abc import Mapping
from typing import Any

from landbridge.errors import LandbridgeError
from landbridge.tasks.classification import Classification
from landbridge.tasks.multi_label import MultiLabel
from landbridge.tasks.regression import Regression
from landbridge.tasks.several import Several
from landbridge.tasks.task import Task

OF_NAMES = {task.kind: task for task in (Classification, MultiLabel, Regression)}


def task_of(description: Mapping[str, Any]) -> Task:
    """Return the task that `Task.describe` has described, as far as predictions go.

    A derived task, with another loss or other metrics, becomes the task of its kind.

    Raises:
        LandbridgeError: the kind is unknown.
    """
    kind = description["kind"]
    if kind == Several.kind:
        return Several({name: task_of(each) for name, each in description["tasks"].items()})
    if kind not in OF_NAMES:
        raise LandbridgeError(f"this run predicts {kind}, which is none of {', '.join([*OF_NAMES, Several.kind])}")
    return OF_NAMES[kind](tuple(description["names"]))
