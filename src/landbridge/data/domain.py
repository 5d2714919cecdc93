"""A domain: a named labelled data set with splits, class names and a fingerprint of its content."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from landbridge.data.augment import ImageKind
from landbridge.data.digests import Digests
from landbridge.data.inputs import Inputs
from landbridge.data.labels import Labels
from landbridge.data.splits import SPLITS
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, Task

Entry = TypeVar("Entry")


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
        design: how the domain was made, for the record: a hash of the samples that it was made from, the splits that
            were made, and a prior if it has one.
    """

    name: str
    task: Task
    splits: Mapping[str, Split]
    image_kind: ImageKind = "photographs"
    design: Mapping[str, Any] = field(default_factory=dict)

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

    def sealed_anew(self) -> "Domain":
        """Return the same domain for another run: labels that one of them opens are not opened for the other."""
        splits = {name: replace(split, labels=split.labels.sealed_anew()) for name, split in self.splits.items()}
        same = replace(self, splits=splits)
        # Hashes of the contents are the same, and take time.
        vars(same).update(
            {name: vars(self)[name] for name in ("fingerprint", "samples", "_contents") if name in vars(self)}
        )
        return same

    def summary(self) -> dict[str, Any]:
        """Return a description of the domain for the record."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "samples": self.samples,
            "tested": self.tested,
            "task": self.task.describe(),
            "classes": list(self.classes),
            "inputs": self.splits["train"].inputs.describe(),
            "sizes": {name: len(split.inputs) for name, split in self.splits.items()},
            "design": dict(self.design),
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
        return self._contents.together()

    @cached_property
    def tested(self) -> str:
        """Hash of the contents of the test split, the same for all orders of its samples."""
        return self.splits["test"].inputs.hashes().together()

    def items(self, split: str) -> np.ndarray:
        """Return which samples a split holds, so that runs with different splits can be compared sample by sample.

        Returns:
            int64 positions among all samples of the domain, sorted by content (n,), in the order of the split. Copies
            have positions next to each other.
        """
        order = self._contents.items().argsort(kind="stable")
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        sizes = [len(self.splits[name].inputs) for name in SPLITS]
        return np.split(ranks, np.cumsum(sizes)[:-1])[SPLITS.index(split)]

    @cached_property
    def _contents(self) -> Digests:
        return Digests.concatenated([self.splits[name].inputs.hashes() for name in SPLITS])


def domain_from_positions(
    name: str,
    task: Task | Sequence[str],
    inputs: Inputs,
    labels: Tensor,
    positions: Mapping[str, Tensor],
    image_kind: ImageKind = "photographs",
    attributes: Mapping[str, Sequence[str]] | None = None,
    design: Mapping[str, Any] | None = None,
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
                {column: chosen(entries, where) for column, entries in (attributes or {}).items()},
            )
            for split, where in positions.items()
        },
        image_kind,
        design or {},
    )


def chosen(entries: Sequence[Entry], where: Tensor) -> list[Entry]:
    """Return the entries at some positions (m,)."""
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
