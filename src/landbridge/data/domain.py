"""A domain: a named labelled data set with splits, class names and a fingerprint of its content."""

import hashlib
import logging
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landbridge.data.augment import ImageKind
from landbridge.data.inputs import Inputs
from landbridge.data.labels import Labels
from landbridge.data.splits import SPLITS, join_groups, keep_apart, split_indices
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, Task

log = logging.getLogger(__name__)

#: Number of absent classes that a warning names.
ABSENT = 5


@dataclass(frozen=True)
class Split:
    """Samples and their labels, as two objects: code that gets only the inputs cannot read the labels.

    Attributes:
        inputs: the samples.
        labels: their labels.
        attributes: named columns with one entry per sample, such as the hospital of an image.
    """

    inputs: Inputs
    labels: Labels
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Domain:
    """A named labelled data set.

    Attributes:
        name: name of the domain in messages, tables and records.
        task: what is predicted.
        splits: `train`, `val` and `test`, disjoint.
        image_kind: what the images show. It selects augmentations that keep the class. Vectors ignore it.
    """

    name: str
    task: Task
    splits: Mapping[str, Split]
    image_kind: ImageKind = "photographs"

    def __post_init__(self) -> None:
        """Refuse empty splits, and splits with different numbers of samples, labels and attributes."""
        for split, part in self.splits.items():
            for name, values in part.attributes.items():
                if len(values) != len(part.inputs):
                    raise ValueError(f"{self.name} {split}: {len(part.inputs)} samples but {len(values)} of {name}")
            if len(part.inputs) != len(part.labels):
                raise ValueError(f"{self.name} {split}: {len(part.inputs)} samples but {len(part.labels)} labels")
            if len(part.inputs) == 0:
                raise LandbridgeError(f"domain {self.name}: its {split} split is empty; every split needs samples")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the outputs: classes in the order of their indices, or numbers that are predicted."""
        return self.task.names

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a raw sample: (c, h, w), or (d,) for vectors."""
        return self.splits["train"].inputs.shape

    @property
    def modality(self) -> str:
        """What samples are: `image`, `vector` or `text`."""
        return self.splits["train"].inputs.kind

    @property
    def _kind(self) -> tuple[str, ...]:
        # Classifications have the fingerprints that they had before there were other tasks.
        return () if self.task.kind == Classification.kind else (self.task.kind,)

    def summary(self) -> dict[str, Any]:
        """Return a description of the domain for the record."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "samples": self.samples,
            "task": self.task.describe(),
            "classes": list(self.classes),
            "inputs": self.splits["train"].inputs.describe(),
            "sizes": {name: len(split.inputs) for name, split in self.splits.items()},
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content: class names, shape, and each split's samples, labels and attributes in order."""
        digest = hashlib.blake2b("\0".join((*self._kind, *self.classes, str(self.shape))).encode(), digest_size=16)
        for split in SPLITS:
            part = self.splits[split]
            digest.update(split.encode())
            digest.update(str(part.inputs.hashes()).encode())
            digest.update(part.inputs.reading.encode())
            digest.update(part.labels.digest())
            for column, entries in part.attributes.items():
                digest.update("\0".join((column, *entries)).encode())
        return digest.hexdigest()

    @cached_property
    def samples(self) -> str:
        """Hash of the contents of all samples, the same for all splits and orders of these samples."""
        return hashlib.blake2b(self._contents[self._contents.argsort()].tobytes(), digest_size=16).hexdigest()

    def items(self, split: str) -> np.ndarray:
        """Return which samples a split holds, so that runs with different splits can be compared sample by sample.

        Returns:
            int64 positions among all samples of the domain, sorted by content (n,), in the order of the split. Copies
            have positions next to each other.
        """
        order = self._contents.argsort(kind="stable")
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        sizes = [len(self.splits[name].inputs) for name in SPLITS]
        return np.split(ranks, np.cumsum(sizes)[:-1])[SPLITS.index(split)]

    @cached_property
    def _contents(self) -> np.ndarray:
        return np.concatenate([self.splits[name].inputs.hashes().items() for name in SPLITS])


def split_domain(
    name: str,
    task: Task | Sequence[str],
    inputs: Inputs,
    labels: Tensor,
    groups: Sequence[Hashable] | None = None,
    *,
    given: Mapping[str, Tensor] | None = None,
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    image_kind: ImageKind = "photographs",
    attributes: Mapping[str, Sequence[str]] | None = None,
) -> Domain:
    """Make a domain from samples, and make the splits that are missing with `split_indices`.

    Samples of equal content always count as one group, in addition to `groups`. Given splits are kept, with one
    exception, because no group may be in two splits. A group that is in the given test split is left out of the other
    splits. A group that is in the given validation split is left out of `train`. A warning in the log gives the number
    of samples that are left out.

    Args:
        name: name of the domain.
        task: what is predicted; a sequence of class names is a classification.
        inputs: all samples.
        labels: labels in a form that the task takes (n, ...).
        groups: the group of each sample; a group is never divided. None: only copies form groups.
        given: positions of the splits that come with the data; `train` must be one of them. Where `val` or `test` is
            missing, it is taken from `train`. None: all samples are `train`.
        val: share of the samples in `train` that becomes the validation split, in (0, 1).
        test: share of the samples in `train` that becomes the test split, in (0, 1).
        seed: seed of the random order.
        image_kind: what the images show; see `Domain`.
        attributes: of the samples, by name; see `Split`.

    Raises:
        LandbridgeError: the shares leave nothing to train on, or a class has too few samples for every split that is
            made here. Given validation and test splits may lack classes; a warning in the log names them.
    """
    task = as_task(task)
    labels = task.to_labels(labels)
    if val + test >= 1:
        raise LandbridgeError(
            f"domain {name}: val={val} and test={test} leave nothing to train on; their sum must be below 1"
        )
    copies = inputs.hashes().items()
    together = np.array(join_groups(copies) if groups is None else join_groups(copies, groups))
    fixed = keep_apart(name, given or {"train": torch.arange(len(inputs))}, together)
    pool = fixed.pop("train")
    shares = {split: 0.0 if split in fixed else share for split, share in (("val", val), ("test", test))}
    carved = split_indices(task.strata(labels)[pool], together[pool.numpy()], **shares, seed=seed)
    positions = {split: pool[where] for split, where in carved.items()} | fixed
    _require_classes(name, task, labels, positions, together, fixed.keys())
    return domain_from_positions(name, task, inputs, labels, positions, image_kind, attributes)


def _require_classes(
    name: str, task: Task, labels: Tensor, positions: Mapping[str, Tensor], together: np.ndarray, given: Set[str]
) -> None:
    """Refuse a class that a split lacks. Given validation and test splits may lack classes; a warning names these."""
    if not task.has_classes:
        return
    seen = {split: labels[where] for split, where in positions.items()}
    held = {split: y[y >= 0].bincount(minlength=task.outputs) > 0 for split, y in seen.items()}
    made = torch.stack([held[split] for split in positions if split not in given]).all(0)
    for index in (~made).nonzero().flatten().tolist()[:1]:
        lacking = " and ".join(split for split in positions if not held[split][index])
        members = (labels == index).numpy()
        raise LandbridgeError(
            f"domain {name}: class '{task.names[index]}' has no sample for {lacking}: its {members.sum()} samples form "
            f"{len(np.unique(together[members]))} groups (copies count as one group), and each of {', '.join(SPLITS)} "
            f"needs one; add samples or leave the class out"
        )
    for split in given:
        absent = [task.names[index] for index in (~held[split]).nonzero().flatten().tolist()]
        if absent:
            log.warning(
                "domain %s: the given %s split has no sample of %d of %d classes (%s%s); metrics on it leave them out",
                name,
                split,
                len(absent),
                task.outputs,
                ", ".join(absent[:ABSENT]),
                ", ..." if len(absent) > ABSENT else "",
            )


def domain_from_positions(
    name: str,
    task: Task | Sequence[str],
    inputs: Inputs,
    labels: Tensor,
    positions: Mapping[str, Tensor],
    image_kind: ImageKind = "photographs",
    attributes: Mapping[str, Sequence[str]] | None = None,
) -> Domain:
    """Make a domain from samples and the positions of the samples of each split."""
    task = as_task(task)
    labels = task.to_labels(labels)
    return Domain(
        name,
        task,
        {
            split: Split(
                inputs.select(where),
                Labels(labels[where], task, f"{name} {split}"),
                {column: _at(entries, where) for column, entries in (attributes or {}).items()},
            )
            for split, where in positions.items()
        },
        image_kind,
    )


def _at(entries: Sequence[str], where: Tensor) -> list[str]:
    positions: list[int] = where.tolist()
    return [entries[index] for index in positions]


def as_task(task: Task | Sequence[str]) -> Task:
    """Return a task; a row of class names is a classification."""
    return task if isinstance(task, Task) else Classification(tuple(task))


def require_same_kind(source: Domain, target: Domain) -> None:
    """Refuse two domains that one backbone cannot read: vectors and images, or vectors of two widths.

    Raises:
        LandbridgeError: the kinds or widths differ; the message describes both domains.
    """
    if source.modality == target.modality and (source.modality != "vector" or source.shape == target.shape):
        return
    held = [
        f"{domain.name} holds {domain.modality}s"
        + (f" of width {domain.shape[0]}" if domain.modality == "vector" else "")
        for domain in (source, target)
    ]
    raise LandbridgeError(f"source {held[0]}, but target {held[1]}: one backbone must take both")
