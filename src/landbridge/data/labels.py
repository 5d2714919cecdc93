"""The seal: labels that are there, and that training cannot read beyond what the setting allows."""

import hashlib
from typing import Literal

import torch
from torch import Tensor

from landbridge.errors import LandbridgeError

LabelBudget = int | Literal["all"]

#: Stands for "hidden" in label tensors that training may see.
HIDDEN = -1


class Labels:
    """The labels of one split, with a list of who opened them.

    Args:
        values: int64 class indices (n,).
        classes: class names, for messages.
        where: what the labels belong to, for messages, such as `mnist_5k train`.
    """

    def __init__(self, values: Tensor, classes: tuple[str, ...], where: str) -> None:
        self._values = values.long()
        self._classes = classes
        self.where = where
        self.openings: list[str] = []

    def __len__(self) -> int:
        return len(self._values)

    def digest(self) -> bytes:
        """Return a hash of all labels, from which no label can be read back."""
        return hashlib.blake2b(self._values.numpy().tobytes(), digest_size=16).digest()

    def open(self, reason: str) -> Tensor:
        """Return all labels (n,), and note why."""
        self.openings.append(reason)
        return self._values.clone()

    def visible(self, budget: LabelBudget, seed: int, *, at_most: bool = False) -> Tensor:
        """Return the labels that a budget pays for, and `HIDDEN` (-1) elsewhere.

        Samples are gone through in an order that depends on the seed alone, and each class shows its first ones.
        Hidden labels could therefore hold anything that is no class, and the same ones would be visible.

        Args:
            budget: `0`, the number of labels per class, or `all`.
            seed: picks the labelled samples.
            at_most: a class with fewer samples than the budget shows all it has, instead of being an error.

        Returns:
            int64 class indices (n,), -1 where hidden.

        Raises:
            LandbridgeError: a class has fewer samples than asked for.
        """
        if budget == "all":
            return self._values.clone()
        shown = torch.full_like(self._values, HIDDEN)
        order = torch.randperm(len(self._values), generator=torch.Generator().manual_seed(seed))
        for index, name in enumerate(self._classes):
            members = order[self._values[order] == index]
            if len(members) < budget and not at_most:
                raise LandbridgeError(
                    f"target_labels={budget}: {self.where} has only {len(members)} samples of class '{name}'; "
                    f"ask for at most {self._smallest_class()} or for all"
                )
            shown[members[:budget]] = index
        return shown

    def _smallest_class(self) -> int:
        return min(int((self._values == index).sum()) for index in range(len(self._classes)))
