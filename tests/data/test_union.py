"""Unions of domains: what they hold, and copies of one sample in several parts."""

import logging

import pytest
import torch

from dusk import CLASSES, dusk
from dusk_text import chatter
from landbridge.data.domain import Domain, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.sources.union import DOMAIN, JoinedInputs, union
from landbridge.data.splits import SPLITS
from landbridge.errors import LandbridgeError


def moved(domain: Domain, by: int) -> Domain:
    """Return the domain with other splits: each begins `by` samples later."""
    parts = list(domain.splits.values())
    labels = torch.cat([part.labels.open("move") for part in parts])
    order = torch.arange(len(labels)).roll(-by)
    positions = dict(zip(SPLITS, order.split([len(part.inputs) for part in parts]), strict=True))
    return domain_from_positions(
        f"{domain.name}_moved", domain.task, JoinedInputs([part.inputs for part in parts]), labels, positions
    )


def contents(domain: Domain) -> dict[str, set[str]]:
    return {split: set(part.inputs.hashes()) for split, part in domain.splits.items()}


def test_a_union_holds_the_samples_of_all_parts_with_their_labels_and_names():
    parts = {"one": dusk("one"), "two": dusk("two", shift=0.5)}
    whole = union(parts)
    assert whole.name == "one+two"
    for split, part in whole.splits.items():
        expected = {
            (content, label, name)
            for name, each in parts.items()
            for content, label in zip(
                each.splits[split].inputs.hashes(), each.splits[split].labels.open("test").tolist(), strict=True
            )
        }
        found = zip(part.inputs.hashes(), part.labels.open("test").tolist(), part.attributes[DOMAIN], strict=True)
        assert set(found) == expected
        assert len(part.inputs) == len(expected)


@pytest.mark.parametrize("make", [dusk, chatter], ids=["images", "texts"])
def test_a_copy_in_another_split_of_another_part_stays_in_test_before_val_before_train(make, caplog):
    name = "murmur" if make is chatter else "dusk"
    honest = make(name)
    other = moved(honest, 10)
    with caplog.at_level(logging.WARNING):
        whole = union({"one": honest, "two": other})
    held = contents(whole)
    assert not held["train"] & held["val"] | held["train"] & held["test"] | held["val"] & held["test"]
    assert held["test"] == contents(honest)["test"] | contents(other)["test"]
    assert set.union(*held.values()) == set.union(*contents(honest).values())
    assert "domain one+two: 20 samples are left out of train, because copies of them" in caplog.text
    for part in whole.splits.values():
        assert len(part.inputs) == len(part.labels) == len(part.attributes[DOMAIN])


def test_labels_and_parts_stay_with_their_samples_if_copies_are_left_out():
    x = torch.arange(40, dtype=torch.float32)[:, None]
    given = {"train": torch.arange(24), "val": torch.arange(24, 32), "test": torch.arange(32, 40)}
    one = domain_from_positions("one", CLASSES, TensorInputs(x), torch.arange(40) % 3, given)
    other = domain_from_positions("two", CLASSES, TensorInputs(x + 30), torch.arange(30, 70) % 3, given)
    whole = union({"one": one, "two": other})
    for part in whole.splits.values():
        (values,) = part.inputs.read(torch.arange(len(part.inputs)), None)
        assert part.labels.open("test").tolist() == [int(value) % 3 for value in values[:, 0]]
        for value, name in zip(values[:, 0].tolist(), part.attributes[DOMAIN], strict=True):
            assert name == "one" if value < 30 else name in ("one", "two") if value < 40 else name == "two"
    assert len(whole.splits["train"].inputs) == 24 + 14


def test_there_is_no_warning_without_copies(caplog):
    with caplog.at_level(logging.WARNING):
        union({"one": dusk("one"), "two": dusk("two")})
    assert not caplog.text


def test_parts_of_other_kinds_are_refused():
    with pytest.raises(LandbridgeError, match="union: one and two must have the same task"):
        union({"one": dusk("one"), "two": chatter("murmur")})
    images = dusk("one", classes=("a", "b", "c"))
    with pytest.raises(LandbridgeError, match="union: one and two must have the same task"):
        union({"one": dusk("one"), "two": images})
