"""Several domains as one, with the attribute `domain`."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from landbridge.data.digests import Digests
from landbridge.data.domain import Domain, Split
from landbridge.data.formats import Format, ImageFormat
from landbridge.data.inputs import Inputs
from landbridge.data.labels import Labels
from landbridge.data.splits import SPLITS
from landbridge.errors import LandbridgeError

#: The attribute of a sample that holds the name of its domain.
DOMAIN = "domain"


def union(domains: Mapping[str, Domain], name: str | None = None) -> Domain:
    """Join domains: every split has the samples of all of them, one domain after the other.

    On the command line, `source=photo+art` joins two domains, and `source.domains.photo.root=...` is a setting of one
    of them. The attribute `domain` of a sample is the name of its part.

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
    splits = {split: _joined(name, split, domains) for split in SPLITS}
    kinds = {domain.image_kind for domain in domains.values()}
    # Digits must not be mirrored, so that one part of digits decides for all.
    return Domain(name, first.task, splits, "digits" if "digits" in kinds else first.image_kind)


def _joined(name: str, split: str, domains: Mapping[str, Domain]) -> Split:
    parts = {part: domain.splits[split] for part, domain in domains.items()}
    task = next(iter(domains.values())).task
    labels = torch.cat([each.labels.open("union") for each in parts.values()])
    shared = set.intersection(*({*each.attributes} for each in parts.values())) - {DOMAIN}
    attributes: dict[str, Sequence[str]] = {
        attribute: [value for each in parts.values() for value in each.attributes[attribute]]
        for attribute in sorted(shared)
    }
    attributes[DOMAIN] = [part for part, each in parts.items() for _ in range(len(each.inputs))]
    inputs = JoinedInputs([each.inputs for each in parts.values()])
    return Split(inputs, Labels(labels, task, f"{name} {split}"), attributes)


def _listed(domain: Domain) -> str:
    names = ", ".join(domain.task.names[:8]) + (", ..." if len(domain.task.names) > 8 else "")
    return f"{domain.task.kind.replace('_', ' ')} ({names})"


class JoinedInputs(Inputs):
    """Samples of several inputs, one after the other.

    Args:
        parts: inputs of one kind. Images may differ in size.
        places: for each sample, the number of its part and its position there (n, 2); None takes all in order.
    """

    def __init__(self, parts: Sequence[Inputs], places: Tensor | None = None) -> None:
        self.parts = list(parts)
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
            if len(where):
                raw = part.read(places[where, 1], format)
                tensors.append(self._fit(raw, format))
                order.append(where)
        back = torch.cat(order).argsort()
        return tuple(torch.cat(each)[back] for each in zip(*tensors, strict=True))

    def select(self, indices: Tensor) -> "JoinedInputs":
        """Return the samples at the given positions as a new object."""
        return JoinedInputs(self.parts, self.places[indices])

    @property
    def reading(self) -> str:
        """How the samples of each part are read; empty if no part has a setting for it."""
        readings = [part.reading for part in self.parts]
        return " + ".join(readings) if any(readings) else ""

    def hashes(self) -> Digests:
        """Return one hash of content per sample."""
        sizes = torch.tensor([0, *(len(part) for part in self.parts)])
        rows = sizes.cumsum(0)[self.places[:, 0]] + self.places[:, 1]
        return Digests(np.concatenate([part.hashes().content for part in self.parts])).select(rows)

    def _fit(self, raw: tuple[Tensor, ...], format: Format | None) -> tuple[Tensor, ...]:
        if not self._fitted or not isinstance(format, ImageFormat):
            return raw
        return tuple(format.fitted(each) for each in raw)
