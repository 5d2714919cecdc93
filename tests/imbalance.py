"""Domains in which one class is rare, for tests."""

from typing import Annotated

import torch
from annotated_types import Ge
from sklearn.datasets import load_digits

from dusk import dusk
from landbridge.data.domain import Domain, Split, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels


def skewed(name: str, shift: float = 0.0, hidden_after: Annotated[int, Ge(0)] | None = None, seed: int = 0) -> Domain:
    """Make the images of `dusk`, with a third of the beams in `train`.

    Args:
        name: of the domain.
        shift: see `dusk`.
        hidden_after: a budget of labels per class; labels that it hides in `train` and `val` are replaced by garbage.
        seed: of the run, which selects the labels that are shown.
    """
    whole = dusk(name, shift, n=90)
    labels = whole.splits["train"].labels.open("to make a class rare")
    beams = torch.nonzero(labels == 1).flatten()
    kept = torch.tensor([i for i in range(len(labels)) if i not in beams[len(beams) // 3 :].tolist()])
    train = Split(whole.splits["train"].inputs.select(kept), Labels(labels[kept], whole.task, f"{name} train"))
    splits = {**whole.splits, "train": train}
    if hidden_after is not None:
        for split in ("train", "val"):
            part = splits[split]
            shown = part.labels.visible(hidden_after, seed, at_most=True)
            # -2 is not a class. A wrong class could be shown in place of another sample.
            splits[split] = Split(part.inputs, Labels(shown.where(shown >= 0, -2), whole.task, part.labels.where))
    return Domain(name, whole.task, splits)


def rare_digits(name: str = "rare_digits", kept: float = 0.05, seed: int = 0) -> Domain:
    """Make scikit-learn's handwritten digits, in which a share of the 8s and 9s remains in `train` and `val`."""
    x, y = load_digits(return_X_y=True)
    inputs, labels = TensorInputs(torch.from_numpy(x).float() / 16), torch.from_numpy(y).long()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    test, rest = order[:600], order[600:]
    rest = rest[(labels[rest] < 8) | (torch.rand(len(rest), generator=generator) < kept)]
    positions = {"train": rest[200:], "val": rest[:200], "test": test}
    return domain_from_positions(name, tuple(map(str, range(10))), inputs, labels, positions)
