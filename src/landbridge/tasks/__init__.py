"""Tasks: what is predicted, and how it is judged. The rest of landbridge asks the task."""

from landbridge.tasks.classification import Classification
from landbridge.tasks.described import task_of
from landbridge.tasks.labels import HIDDEN, LabelBudget, hide, shown
from landbridge.tasks.metrics import Metrics, Shown
from landbridge.tasks.multi_label import MultiLabel
from landbridge.tasks.open_set import OpenSet
from landbridge.tasks.regression import Regression
from landbridge.tasks.settings import TaskSettings, classes_of
from landbridge.tasks.several import Several
from landbridge.tasks.task import NUMBERS, ONE_CLASS, Task

__all__ = [
    "HIDDEN",
    "NUMBERS",
    "ONE_CLASS",
    "Classification",
    "LabelBudget",
    "Metrics",
    "MultiLabel",
    "OpenSet",
    "Regression",
    "Several",
    "Shown",
    "Task",
    "TaskSettings",
    "classes_of",
    "hide",
    "shown",
    "task_of",
]
