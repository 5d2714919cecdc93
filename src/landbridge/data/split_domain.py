"""A domain from samples: splits that are missing are made, and no copy and no group is in two splits."""

import logging
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landbridge.data.augment import ImageKind
from landbridge.data.domain import Domain, as_task, chosen, domain_from_positions
from landbridge.data.groups import join_groups
from landbridge.data.inputs import Inputs
from landbridge.data.prior import Prior, class_shares, named, sampled
from landbridge.data.splits import SPLITS, keep_apart, split_indices
from landbridge.errors import LandbridgeError
from landbridge.tasks import Task

log = logging.getLogger(__name__)

#: Number of absent classes that a warning names.
ABSENT = 5


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
    stratify: bool = False,
    prior: Prior | None = None,
    image_kind: ImageKind = "photographs",
    attributes: Mapping[str, Sequence[str]] | None = None,
) -> Domain:
    """Make a domain from samples, and make the splits that are missing with `split_indices`.

    Splits depend on the contents of the samples and on the seed. They depend on no label, because most labels of a
    target are hidden, and a split by hidden labels makes the classes equally frequent in training and in the test. The
    samples of each split stand in the order of their contents. So the order of a listing, in which samples of one class
    often stand together, has no effect.

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
        seed: seed of the splits that are made.
        stratify: whether the splits that are made have equal shares of every class. This reads all labels, hidden ones
            too; the record states it.
        prior: class shares to which the domain is sub-sampled before it is split; see `landbridge.data.prior`. The name
            of the domain then ends in `_long_tail_` or `_prior_`. None: all samples.
        image_kind: what the images show; see `Domain`.
        attributes: of the samples, by name; see `Split`.

    Raises:
        LandbridgeError: the shares leave nothing to train on, the prior does not fit the classes, or, with `stratify`,
            a class has too few samples for every split that is made here. Other splits may lack classes; a warning in
            the log names them.
    """
    task = as_task(task)
    labels = task.to_labels(labels)
    if val + test >= 1:
        raise LandbridgeError(
            f"domain {name}: val={val} and test={test} leave nothing to train on; their sum must be below 1"
        )
    design: dict[str, Any] = {"pool": inputs.hashes().together()}
    samples = _Samples(inputs, labels, groups, attributes or {}, given or {"train": torch.arange(len(inputs))})
    if prior is not None:
        shares = class_shares(prior, task, name)
        samples = samples.select(sampled(labels, [*shares.values()], inputs.hashes()))
        name, design["prior"] = named(name, prior, shares), shares
    positions, made = samples.split(name, task, {"val": val, "test": test}, seed, stratify)
    if made:
        design["splits"] = {"made": made, "seed": seed, "stratified": stratify}
    return domain_from_positions(
        name, task, samples.inputs, samples.labels, positions, image_kind, samples.attributes, design
    )


@dataclass(frozen=True)
class _Samples:
    """All that belongs to samples, before they are in splits; see `split_domain`."""

    inputs: Inputs
    labels: Tensor
    groups: Sequence[Hashable] | None
    attributes: Mapping[str, Sequence[str]]
    given: Mapping[str, Tensor]

    def select(self, kept: Tensor) -> "_Samples":
        """Return the samples at sorted positions (m,)."""
        new = torch.full((len(self.inputs),), -1)
        new[kept] = torch.arange(len(kept))
        return _Samples(
            self.inputs.select(kept),
            self.labels[kept],
            None if self.groups is None else chosen(self.groups, kept),
            {column: chosen(entries, kept) for column, entries in self.attributes.items()},
            {split: new[where][new[where] >= 0] for split, where in self.given.items()},
        )

    def split(
        self, name: str, task: Task, shares: Mapping[str, float], seed: int, stratify: bool
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the positions of each split in the order of their contents, and the shares of the splits made here."""
        contents = self.inputs.hashes()
        items = contents.items()
        together = np.array(join_groups(items) if self.groups is None else join_groups(items, self.groups))
        fixed = keep_apart(name, self.given, together)
        pool = fixed.pop("train")
        wanted = {split: 0.0 if split in fixed else share for split, share in shares.items()}
        strata = task.strata(self.labels)[pool] if stratify else None
        carved = split_indices(contents.select(pool), together[pool.numpy()], strata=strata, **wanted, seed=seed)
        positions = {split: pool[where] for split, where in carved.items()} | fixed
        _require_classes(name, task, self.labels, positions, together, fixed.keys(), stratify)
        ordered = {split: where[items[where.numpy()].argsort(kind="stable")] for split, where in positions.items()}
        return ordered, {split: share for split, share in shares.items() if split not in fixed}


def _require_classes(
    name: str,
    task: Task,
    labels: Tensor,
    positions: Mapping[str, Tensor],
    together: np.ndarray,
    given: Set[str],
    stratified: bool,
) -> None:
    """Name the classes that a split lacks: in an error if stratified splits lack one, and otherwise in a warning."""
    if not task.has_classes:
        return
    seen = {split: labels[where] for split, where in positions.items()}
    held = {split: y[y >= 0].bincount(minlength=task.outputs) > 0 for split, y in seen.items()}
    made = torch.stack([held[split] for split in positions if split not in given]).all(0)
    for index in (~made).nonzero().flatten().tolist()[: 1 if stratified else 0]:
        lacking = " and ".join(split for split in positions if not held[split][index])
        members = (labels == index).numpy()
        raise LandbridgeError(
            f"domain {name}: class '{task.names[index]}' has no sample for {lacking}: its {members.sum()} samples form "
            f"{len(np.unique(together[members]))} groups (copies count as one group), and each of {', '.join(SPLITS)} "
            f"needs one; add samples, leave the class out, or set stratify=false"
        )
    for split in positions:
        absent = [task.names[index] for index in (~held[split]).nonzero().flatten().tolist()]
        if absent:
            log.warning(
                "domain %s: the %s split has no sample of %d of %d classes (%s%s); %s",
                name,
                f"given {split}" if split in given else split,
                len(absent),
                task.outputs,
                ", ".join(absent[:ABSENT]),
                ", ..." if len(absent) > ABSENT else "",
                "training cannot learn them" if split == "train" else "metrics on it leave them out",
            )
