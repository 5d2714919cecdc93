"""The seal: labels that are there, and that training cannot read beyond what the setting allows."""

import hashlib

import torch
from torch import Tensor

from landbridge.tasks import LabelBudget, Task, hide, shown


class Labels:
    """The labels of one split, with a list of the reasons for which they were opened.

    Args:
        values: one row a sample, in any form that the task takes, such as class indices (n,) or numbers (n, k).
        task: says what they mean.
        where: the split, for messages, such as `mnist_5k train`.
    """

    def __init__(self, values: Tensor, task: Task, where: str) -> None:
        self._values = task.to_labels(values)
        self._task = task
        self.where = where
        self.openings: list[str] = []

    def __len__(self) -> int:
        return len(self._values)

    def digest(self) -> bytes:
        """Return a hash of all labels, from which no label can be read back."""
        return hashlib.blake2b(self._values.numpy().tobytes(), digest_size=16).digest()

    def open(self, reason: str) -> Tensor:
        """Return all labels (n, ...), and note the reason."""
        self.openings.append(reason)
        return self._values.clone()

    def visible(self, budget: LabelBudget, seed: int, *, at_most: bool = False) -> Tensor:
        """Return the labels that a budget allows, with the others hidden.

        Samples are taken in an order that depends only on the seed.

        Args:
            budget: `0`, a number, or `all`. The task says what a number counts: labels of each class, or samples.
            seed: picks the labelled samples.
            at_most: fewer samples than the budget show all they have, instead of being an error.

        Returns:
            labels (n, ...); see `landbridge.tasks.shown` for which are hidden.

        Raises:
            LandbridgeError: there are fewer samples than asked for.
        """
        if budget == "all":
            return self._values.clone()
        order = torch.randperm(len(self._values), generator=torch.Generator().manual_seed(seed))
        taken = self._task.within(self._values, budget, order, at_most, self.where)
        return hide(self._values, ~(taken & shown(self._values)))
