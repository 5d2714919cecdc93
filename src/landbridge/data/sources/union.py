"""Several domains as one, with the attribute `domain`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landbridge.data.augment import ImageKind
from landbridge.data.digests import Digests
from landbridge.data.domain import Domain, Split
from landbridge.data.formats import Format, ImageFormat
from landbridge.data.groups import join_groups
from landbridge.data.inputs import Inputs
from landbridge.data.labels import Labels
from landbridge.data.splits import SPLITS, keep_apart
from landbridge.errors import LandbridgeError

#: The attribute of a sample that holds the name of its domain.
DOMAIN = "domain"


def union(domains: Mapping[str, Domain], name: str | None = None) -> Domain:
    """Join domains: every split has the samples of all of them, one domain after the other.

    On the command line, `source=photo+art` joins two domains, and `source.domains.photo.root=...` is a setting of one
    of them. The attribute `domain` of a sample is the name of its part.

    No sample is in two splits. If a copy of a sample is in another split of another part, the test split keeps it, then
    the validation split. A warning in the log states how many samples are left out.

    Args:
        domains: the parts by name, two or more.
        name: name of the union; None joins the names of the parts with a plus sign.

    Raises:
        LandbridgeError: the parts differ in their tasks or in the kind of their samples.
    """
    first_name, first = next(iter(domains.items()))
    for other_name, other in domains.items():
        if other.task != first.task:
            raise LandbridgeError(
                f"union: {first_name} and {other_name} must have the same task, but one has {_listed(first)} and the "
                f"other {_listed(other)}"
            )
        if other.modality != first.modality or (first.modality == "vector" and other.shape != first.shape):
            raise LandbridgeError(
                f"union: {first_name} and {other_name} must hold samples of one kind, but one holds {first.modality}s "
                f"of shape {first.shape} and the other {other.modality}s of shape {other.shape}"
            )
    name = name or "+".join(domains)
    inputs = {
        split: JoinedInputs([each.splits[split].inputs for each in domains.values()], names=list(domains))
        for split in SPLITS
    }
    kept = _without_copies(name, inputs)
    splits = {split: _joined(name, split, domains, inputs[split], kept[split]) for split in SPLITS}
    kinds = {domain.image_kind for domain in domains.values()}
    # Digits must not be mirrored, so that one part of digits decides for all.
    kind: ImageKind = "digits" if "digits" in kinds else first.image_kind
    parts = {part: {"pool": each.samples, "tested": each.tested, **each.design} for part, each in domains.items()}
    return Domain(name, first.task, splits, kind, {"parts": parts})


def _without_copies(name: str, inputs: Mapping[str, Inputs]) -> dict[str, Tensor]:
    """Return the positions that each split keeps: a sample of one part may be in another split of another part."""
    firsts = np.cumsum([0, *(len(part) for part in inputs.values())])
    given = {
        split: torch.arange(len(part)) + int(first)
        for (split, part), first in zip(inputs.items(), firsts[:-1], strict=True)
    }
    together = np.array(join_groups([each for part in inputs.values() for each in part.hashes()]))
    kept = keep_apart(name, given, together)
    return {split: kept[split] - int(first) for split, first in zip(inputs, firsts[:-1], strict=True)}


def _joined(name: str, split: str, domains: Mapping[str, Domain], inputs: Inputs, kept: Tensor) -> Split:
    parts = {part: domain.splits[split] for part, domain in domains.items()}
    task = next(iter(domains.values())).task
    labels = torch.cat([each.labels.open("union") for each in parts.values()])
    shared = set.intersection(*({*each.attributes} for each in parts.values())) - {DOMAIN}
    attributes: dict[str, Sequence[str]] = {
        attribute: [value for each in parts.values() for value in each.attributes[attribute]]
        for attribute in sorted(shared)
    }
    attributes[DOMAIN] = [part for part, each in parts.items() for _ in range(len(each.inputs))]
    rows: list[int] = kept.tolist()
    chosen = {attribute: [values[row] for row in rows] for attribute, values in attributes.items()}
    return Split(inputs.select(kept), Labels(labels[kept], task, f"{name} {split}"), chosen)


def _listed(domain: Domain) -> str:
    names = ", ".join(domain.task.names[:8]) + (", ..." if len(domain.task.names) > 8 else "")
    return f"{domain.task.kind.replace('_', ' ')} ({names})"


class JoinedInputs(Inputs):
    """Samples of several inputs, one after the other.

    Args:
        parts: inputs of one kind. Images may differ in size.
        places: for each sample, the number of its part and its position there (n, 2); None takes all in order.
        names: of the parts; None: their numbers.
    """

    def __init__(
        self, parts: Sequence[Inputs], places: Tensor | None = None, names: Sequence[str] | None = None
    ) -> None:
        self.parts = list(parts)
        self.names = [str(number) for number in range(len(parts))] if names is None else list(names)
        self.kind = parts[0].kind
        shapes = {part.shape for part in parts}
        # Images of several sizes are brought to the size of the format when they are read, as files are.
        self.shape = shapes.pop() if len(shapes) == 1 else (3, 0, 0)
        self._fitted = len({part.shape for part in parts}) > 1
        if places is None:
            rows = [torch.arange(len(part)) for part in parts]
            numbers = [torch.full_like(each, number) for number, each in enumerate(rows)]
            places = torch.stack([torch.cat(numbers), torch.cat(rows)], dim=1)
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, indices: Tensor, format: Format | None) -> tuple[Tensor, ...]:
        """Read a batch from all parts."""
        places = self.places[indices]
        tensors: list[tuple[Tensor, ...]] = []
        order: list[Tensor] = []
        for number, part in enumerate(self.parts):
            where = torch.nonzero(places[:, 0] == number).squeeze(1)
            if len(where) or not (number or len(places)):  # an empty batch is one of the first part
                raw = part.read(places[where, 1], format)
                tensors.append(self._fit(raw, format))
                order.append(where)
        if len(tensors) > 1 and format is not None:
            # Each part pads its texts to its own longest one.
            tensors = [format.evened(each) for each in tensors]
        back = torch.cat(order).argsort()
        together = tuple(torch.cat(each)[back] for each in zip(*tensors, strict=True))
        return together if format is None else format.trimmed(together)

    def select(self, indices: Tensor) -> "JoinedInputs":
        """Return the samples at the given positions as a new object."""
        return JoinedInputs(self.parts, self.places[indices], self.names)

    @property
    def reading(self) -> str:
        """How the samples of each part are read; empty if no part has a setting for it."""
        readings = [part.reading for part in self.parts]
        return " + ".join(readings) if any(readings) else ""

    def kinds(self) -> dict[str, Tensor]:
        """Return the kinds of the parts. Images that are brought to the size of the format are a kind of their own."""
        found: dict[str, list[Tensor]] = {}
        for number, part in enumerate(self.parts):
            mine = torch.nonzero(self.places[:, 0] == number).squeeze(1)
            rows = self.places[mine, 1]
            for kind, where in part.kinds().items():
                here = torch.zeros(len(part), dtype=torch.bool).index_fill_(0, where, True)[rows]
                found.setdefault(f"fitted {kind}" if self._fitted else kind, []).append(mine[here])
        together = {kind: torch.cat(each).sort().values for kind, each in found.items()}
        return {kind: where for kind, where in together.items() if len(where)}

    def hashes(self) -> Digests:
        """Return one hash of content per sample."""
        sizes = torch.tensor([0, *(len(part) for part in self.parts)])
        rows = sizes.cumsum(0)[self.places[:, 0]] + self.places[:, 1]
        return Digests(np.concatenate([part.hashes().content for part in self.parts])).select(rows)

    def ids(self) -> list[str]:
        """Return the name of each sample's part, and what the sample is found by there."""
        by_part = [part.ids() for part in self.parts]
        return [f"{self.names[number]}:{by_part[number][row]}" for number, row in self.places.tolist()]

    def describe(self) -> dict[str, Any]:
        """Describe the samples as the first part does."""
        return self.parts[0].describe() | super().describe()

    def _fit(self, raw: tuple[Tensor, ...], format: Format | None) -> tuple[Tensor, ...]:
        if not self._fitted or not isinstance(format, ImageFormat):
            return raw
        return tuple(format.fitted(each) for each in raw)
