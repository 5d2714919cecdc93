"""Labels as tensors: which of them are shown, and how many may be seen."""

from typing import Literal

import torch
from torch import Tensor

from landbridge.errors import LandbridgeError

#: How many labels may be seen: 0, a number (per class, or of samples: the task says which), or all.
LabelBudget = int | Literal["all"]

#: Stands for a hidden class. A hidden number is nan.
HIDDEN = -1


def shown(y: Tensor) -> Tensor:
    """Return which samples have a label that is not hidden (n,): in at least one place, where labels have several.

    Args:
        y: integers, of which those below 0 are hidden, or floating-point numbers, of which nan is hidden; (n, ...).
    """
    seen = ~y.isnan() if y.is_floating_point() else y >= 0
    return seen.flatten(1).any(dim=1) if y.ndim > 1 else seen


def hide(y: Tensor, rows: Tensor) -> Tensor:
    """Return labels (n, ...) with some rows (n,) hidden."""
    hidden = y.clone()
    hidden[rows] = float("nan") if y.is_floating_point() else HIDDEN
    return hidden


def first_rows(seen: Tensor, budget: LabelBudget, order: Tensor, at_most: bool, where: str) -> Tensor:
    """Return the first labelled rows in some order as a mask (n,).

    A row that lacks every label does not count, because nobody could label it. So the choice depends on which rows have
    a label, but on no label.

    Args:
        seen: which rows have a label (n,).
        budget: how many to take, or `all`.
        order: positions (n,).
        at_most: fewer rows than the budget are all taken, instead of being an error.
        where: whose rows these are, for messages.

    Raises:
        LandbridgeError: there are fewer labelled rows than asked for.
    """
    if budget == "all":
        return seen
    n = int(seen.sum())
    if n < budget and not at_most:
        samples = "samples" if n == len(seen) else "samples with a label"
        raise LandbridgeError(f"target_labels={budget}: {where} has only {n} {samples}; ask for at most {n} or for all")
    taken = torch.zeros(len(seen), dtype=torch.bool)
    taken[order[seen[order]][:budget]] = True
    return taken
