"""Tasks: what is predicted, and how it is judged. The rest of landbridge asks the task."""

from landbridge.tasks.classification import Classification
from landbridge.tasks.described import task_of
from landbridge.tasks.labels import HIDDEN, LabelBudget, hide, shown
from landbridge.tasks.metrics import Metrics
from landbridge.tasks.multi_label import MultiLabel
from landbridge.tasks.open_set import OpenSet
from landbridge.tasks.regression import Regression
from landbridge.tasks.several import Several
from landbridge.tasks.task import Task

__all__ = [
    "HIDDEN",
    "Classification",
    "LabelBudget",
    "Metrics",
    "MultiLabel",
    "OpenSet",
    "Regression",
    "Several",
    "Task",
    "hide",
    "shown",
    "task_of",
]
