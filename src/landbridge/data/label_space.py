"""How the classes of source and target relate."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from landbridge.data.domain import Domain, Split
from landbridge.data.labels import Labels
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, OpenSet, Task

#: `same`: equal classes. `partial`: the target has some of the source's. `open`: it has the source's and others.
#: `universal`: each may have classes of its own. `different`: any two tasks, each with a head of its own.
LabelSets = Literal["same", "partial", "open", "universal", "different"]
#: In these settings the classes of the target are hidden, and the network predicts the classes of the source.
HIDDEN_CLASSES = frozenset({"partial", "open", "universal"})


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a source and of a target, compared by name.

    Attributes:
        source: class names of the source, in the order of its outputs.
        target: class names of the target, in the order of its labels.

    Example:
        With the source's classes a, b, c and the target's c, d, `shared` is (c,), `source_private` is (a, b),
        `target_private` is (d,), and `target_to_source` is [2, 3]: c is output 2 of the source, and d, which the source
        lacks, gets the index 3 behind all of its classes.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]

    @property
    def shared(self) -> tuple[str, ...]:
        """Classes of both, in the order of the source."""
        return tuple(name for name in self.source if name in self.target)

    @property
    def source_private(self) -> tuple[str, ...]:
        """Classes that only the source has."""
        return tuple(name for name in self.source if name not in self.target)

    @property
    def target_private(self) -> tuple[str, ...]:
        """Classes that only the target has."""
        return tuple(name for name in self.target if name not in self.source)

    @property
    def union(self) -> tuple[str, ...]:
        """Classes of the source, and those that only the target has."""
        return (*self.source, *self.target_private)

    def target_to_source(self) -> Tensor:
        """Return the source's index of each class of the target (k,); a class that it lacks gets the next index."""
        index = {name: number for number, name in enumerate(self.source)}
        return torch.tensor([index.get(name, len(self.source)) for name in self.target])

    def faults(self, label_sets: LabelSets) -> str:
        """Return why these classes do not fit a setting; empty if they fit."""
        if label_sets == "same" and self.source != self.target:
            if self.source_private or self.target_private:
                parts = {"source": self.source_private, "target": self.target_private}
                return "; ".join(f"only the {role} has {', '.join(names)}" for role, names in parts.items() if names)
            return "the same names stand in a different order"
        if label_sets == "partial" and self.target_private:
            return f"the target has {', '.join(self.target_private)}, which the source lacks"
        if label_sets == "open" and self.source_private:
            return f"the source has {', '.join(self.source_private)}, which the target lacks"
        if label_sets == "universal" and not self.shared:
            return "no class is shared"
        return ""


def in_label_space(source: Domain, target: Domain, label_sets: LabelSets) -> Domain:
    """Return the target as a network sees it that predicts the classes of the source.

    With `partial`, `open` and `universal`, the setting hides the classes of the target. So the target gets the classes
    of the source, and its labels are indices of these. Samples of other classes are unknown (`OpenSet`). With
    `different`, the network has a head for each domain, and the target stays as it is.

    Args:
        source: the source domain.
        target: the target domain.
        label_sets: the setting.

    Raises:
        LandbridgeError: the classes do not fit the setting; the message names a setting that they fit.
    """
    if label_sets == "different":
        return target
    if label_sets == "same" and target.task.kind != source.task.kind:
        kinds = [each.task.kind.replace("_", " ") for each in (source, target)]
        raise LandbridgeError(
            f"source {source.name} and target {target.name} must have the same task: {' and '.join(kinds)} differ; "
            "label_sets=different gives each a head of its own"
        )
    if label_sets == "same" and not target.task.has_classes:
        if source.task != target.task:
            raise LandbridgeError(
                f"source {source.name} and target {target.name} must predict the same: one has "
                f"{', '.join(source.classes)}, the other {', '.join(target.classes)}; label_sets=different gives each "
                "a head of its own"
            )
        return target
    require_classes(label_sets, source.task, target.task)
    space = LabelSpace(source.classes, target.classes)
    if fault := space.faults(label_sets):
        fitting = [each for each in get_args(LabelSets) if not space.faults(each)]
        raise LandbridgeError(
            f"source {source.name} and target {target.name} must have "
            + ("the same classes" if label_sets == "same" else f"classes that fit label_sets={label_sets}")
            + f": {fault}"
            + (f"; these classes fit label_sets={' or '.join(fitting)}" if fitting else "")
        )
    return target if label_sets == "same" else _recast(target, space)


def require_classes(label_sets: LabelSets, *tasks: Task) -> None:
    """Refuse tasks without classes, in a setting that compares classes.

    Raises:
        LandbridgeError: names the kinds of tasks.
    """
    kinds = [task.kind for task in tasks]
    if not all(task.has_classes for task in tasks):
        listed = " and ".join(kind.replace("_", " ") for kind in kinds)
        raise LandbridgeError(
            f"label_sets={label_sets} compares the classes of two classifications, and the tasks of source and target "
            f"are {listed}"
        )


def _recast(target: Domain, space: LabelSpace) -> Domain:
    to_source = space.target_to_source()
    task = OpenSet(space.source) if space.target_private else Classification(space.source)
    splits = {
        name: Split(
            split.inputs,
            Labels(to_source[split.labels.open("label space")], task, split.labels.where),
            split.attributes,
        )
        for name, split in target.splits.items()
    }
    return replace(target, task=task, splits=splits)
