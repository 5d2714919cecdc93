"""Samples that occur in several splits of a run, and samples that occur under several classes.

Samples are compared by the hashes of their contents, which the fingerprint of a domain has computed already.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import compress, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landbridge.data.domain import Domain
from landbridge.data.splits import SPLITS
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.tasks import Task, shown

log = logging.getLogger(__name__)

#: Rows of numbers and short texts of different samples can be equal by chance, as a few columns of a table are. They
#: are refused only above this share of the test split. Equal images are copies, and so are other samples.
SHARE_OF_COPIES = {"text": 0.5, "vector": 0.5}


def require_unseen(domains: Mapping[str, Domain], learned: Collection[str]) -> None:
    """Refuse a run that trains on test samples of its target, and log all other samples that splits share.

    Args:
        domains: the domains by role.
        learned: roles of the domains whose training split is read, for the run or for the weights it starts from.

    Raises:
        LandbridgeError: training has seen test samples of the target.
    """
    contents = {
        (role, split): domain.splits[split].inputs.hashes() for role, domain in domains.items() for split in SPLITS
    }
    target = domains["target"]
    for role in learned:
        seen = _in_both(contents["target", "test"], contents[role, "train"], target.modality)
        tested = len(contents["target", "test"])
        if seen > SHARE_OF_COPIES.get(target.modality, 0.0) * tested:
            name = domains[role].name
            raise LandbridgeError(
                f"{seen} of {tested} test samples of the target {target.name} are also in the training split of the "
                f"{role} {name}, so the test would reward what is remembered: remove the copies from one of them; one "
                "data set as both roles needs the same splits (split_seed, val, test)"
            )
    places = {place: set(hashes) for place, hashes in contents.items()}
    pairs = [
        (one, other)
        for one, other in product(places, places)
        if one < other and (one[0] != other[0] or one[0] == "target") and not places[one].isdisjoint(places[other])
    ]
    if pairs:
        listed = [f"{' '.join(one)} and {' '.join(other)} {len(places[one] & places[other])}" for one, other in pairs]
        log.warning("samples of equal content: %s", ", ".join(listed))


def require_same_splits(earlier: Mapping[Path, Record], target: Domain) -> None:
    """Refuse weights of earlier runs that were trained on the samples of the target in other splits.

    Splits follow the seed, so the training split of a run with another seed holds test samples of this one. Groups and
    a prior change splits too. So the samples that the domains were made from are compared, and the test splits.

    Args:
        earlier: records of the runs whose weights this run reads, by their folders.
        target: the target of this run.

    Raises:
        LandbridgeError: names the run, and the setting that keeps the splits.
    """
    for folder, record in earlier.items():
        for role, data in record.data.items():
            seen = _tests(data)
            if any(seen.get(pool, tested) != tested for pool, tested in _tests(target.summary()).items()):
                raise LandbridgeError(
                    f"{folder} was trained on {target.name} as its {role} in other splits, so it may have seen test "
                    "samples of this run: give both runs the same splits (split_seed, which follows seed, stratify, "
                    "prior and groups)"
                )


def _tests(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of the test split by that of the samples that a domain was made from, from its description.

    A union has an entry for each part. Records of older versions have none.
    """
    design = data.get("design") or {}
    own = {"pool": data.get("samples"), "tested": data.get("tested"), **design}
    parts = [*design.get("parts", {}).values()] or [own]
    return {each["pool"]: each["tested"] for each in parts if each.get("pool") and each.get("tested")}


def _in_both(test: Sequence[str], train: Sequence[str], modality: str) -> int:
    """Count the test samples that are in a training split. Contents that repeat within a split say nothing there."""
    if SHARE_OF_COPIES.get(modality):
        once = [{content for content, times in Counter(each).items() if times == 1} for each in (test, train)]
        return len(once[0] & once[1])
    known = set(train)
    return sum(content in known for content in test)


def warn_of_visible_clashes(streams: TransferStreams) -> None:
    """Log a warning if a sample occurs under two classes, among the labels that training may see."""
    if not _has_clashes(streams.task, streams.format.kind):
        return
    hashes: list[str] = []
    labels: list[Tensor] = []
    roles = streams.validation.keys() - ({"source"} if streams.source_task else set())  # it has classes of its own
    for name, stream in streams.training.items():
        if stream.labels is not None and name in roles:
            hashes += stream.inputs.hashes()
            labels.append(stream.labels)
    for role in sorted(roles):
        hashes += streams.validation[role].inputs.hashes()
        labels.append(streams.validation_labels[role])
    warn_of_clashes("the visible labels", streams.format.kind, hashes, torch.cat(labels), streams.task)


def warn_of_clashes(where: str, kind: str, hashes: Sequence[str], labels: Tensor, task: Task) -> None:
    """Log a warning if samples of equal content have different classes.

    Rows of numbers are left out: equal rows of different samples are common.

    Args:
        where: whose labels these are, for the message.
        kind: what samples are.
        hashes: contents of the samples (n,).
        labels: of the same samples (n, ...); hidden ones are left out.
        task: what they mean.
    """
    seen = shown(labels)
    if not _has_clashes(task, kind) or not bool(seen.any()):
        return
    pairs = dict.fromkeys(compress(zip(hashes, labels.tolist(), strict=True), seen.tolist()))
    classes: dict[str, list[int]] = {}
    if len(pairs) > len({content for content, _ in pairs}):
        for content, label in pairs:
            classes.setdefault(content, []).append(label)
    if clashing := [each for each in classes.values() if len(each) > 1]:
        names = [task.names[index] for index in clashing[0] if index < task.outputs]
        log.warning("%d %ss of %s occur under two classes, such as %s", len(clashing), kind, where, " and ".join(names))


def _has_clashes(task: Task, kind: str) -> bool:
    return task.kind == "classification" and kind != "vector"
