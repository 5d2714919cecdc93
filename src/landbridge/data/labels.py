"""The seal: labels are stored, but training can read only those that the setting allows."""

import hashlib
from copy import copy

import torch
from torch import Tensor

from landbridge.tasks import LabelBudget, Task, hide, shown


class Labels:
    """The labels of one split, with a list of the reasons for which they were opened.

    Args:
        values: labels of the task, one row per sample (n, ...).
        task: what the labels mean.
        where: domain and split of the labels, for messages, such as `mnist_5k train`.
    """

    def __init__(self, values: Tensor, task: Task, where: str) -> None:
        self._values = task.to_labels(values)
        self._task = task
        self.where = where
        self.openings: list[str] = []

    def sealed_anew(self) -> "Labels":
        """Return the same labels for another run, with the openings until now."""
        same = copy(self)
        same.openings = list(self.openings)
        return same

    def __len__(self) -> int:
        return len(self._values)

    def digest(self) -> bytes:
        """Return a hash of all labels. No label can be recovered from the hash."""
        return hashlib.blake2b(self._values.numpy().tobytes(), digest_size=16).digest()

    def open(self, reason: str) -> Tensor:
        """Return all labels (n, ...), and add the reason to `openings`."""
        self.openings.append(reason)
        return self._values.clone()

    def visible(self, budget: LabelBudget, seed: int, *, at_most: bool = False) -> Tensor:
        """Return the labels that a budget allows; those of all other samples are hidden (-1, or nan for numbers).

        The samples have a random order that depends only on the seed. The first samples in this order show their label:
        the first of each class, or of all samples for tasks without classes. If the hidden labels were replaced by
        values that are not a class, the same labels would be visible.

        Args:
            budget: `0`, a number (labels per class, or samples for tasks without classes), or `all`.
            seed: selects the labelled samples.
            at_most: show all samples of a class that has fewer than the budget, instead of raising an error.

        Returns:
            labels (n, ...); see `landbridge.tasks.shown` for which are hidden.

        Raises:
            LandbridgeError: a class has fewer samples than the budget, and `at_most` is false.
        """
        order = torch.randperm(len(self._values), generator=torch.Generator().manual_seed(seed))
        taken = self._task.within(self._values, budget, order, at_most, self.where)
        return hide(self._values, ~(taken & shown(self._values)))
