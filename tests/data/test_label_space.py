"""The classes of source and target: compared by name, and hidden from training where the setting hides them."""

import pytest
import torch

from landbridge.data.domain import Domain, Split
from landbridge.data.inputs import TensorInputs
from landbridge.data.label_space import LabelSpace, in_label_space
from landbridge.data.labels import Labels
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, OpenSet, Regression

SOURCE = ("ant", "bee", "cat")


def domain(*classes: str, name: str = "zoo") -> Domain:
    y = torch.arange(4 * len(classes)) % len(classes)
    task = Classification(classes)
    x = torch.randn(len(y), 3, generator=torch.Generator().manual_seed(0))
    splits = {split: Split(TensorInputs(x), Labels(y, task, f"{name}/{split}")) for split in ("train", "val", "test")}
    return Domain(name, task, splits)


def test_classes_are_compared_by_name():
    space = LabelSpace(("a", "b", "c"), ("c", "d"))
    assert (space.shared, space.source_private, space.target_private) == (("c",), ("a", "b"), ("d",))
    assert space.union == ("a", "b", "c", "d")
    assert space.target_to_source().tolist() == [2, 3]


@pytest.mark.parametrize(
    ("label_sets", "target", "expected"),
    [
        ("same", SOURCE, Classification(SOURCE)),
        ("partial", ("cat", "bee"), Classification(SOURCE)),
        ("open", ("dog", *SOURCE), OpenSet(SOURCE)),
        ("universal", ("dog", "bee"), OpenSet(SOURCE)),
    ],
)
def test_the_target_gets_the_classes_of_the_source(label_sets, target, expected):
    seen = in_label_space(domain(*SOURCE), domain(*target), label_sets)
    assert type(seen.task) is type(expected)
    assert seen.classes == SOURCE
    names = [(*SOURCE, "dog")[index] for index in seen.splits["test"].labels.open("test").tolist()]
    assert names == [target[index % len(target)] for index in range(4 * len(target))]


@pytest.mark.parametrize(
    ("label_sets", "target", "message"),
    [
        ("same", ("ant", "fly", "cat"), "only the source has bee; only the target has fly.*label_sets=universal"),
        ("same", ("bee", "ant", "cat"), "the same names stand in a different order.*label_sets=partial or open"),
        ("partial", ("ant", "fly"), "the target has fly, which the source lacks.*label_sets=universal"),
        ("open", ("ant", "fly"), "the source has bee, cat, which the target lacks"),
        ("universal", ("fly",), "no class is shared"),
    ],
)
def test_classes_that_do_not_fit_are_refused(label_sets, target, message):
    with pytest.raises(LandbridgeError, match=message):
        in_label_space(domain(*SOURCE), domain(*target, name="park"), label_sets)


def test_numbers_have_no_label_sets():
    numbers = Domain("prices", Regression(("price",)), domain(*SOURCE).splits)
    with pytest.raises(LandbridgeError, match="compares the classes of two classifications"):
        in_label_space(domain(*SOURCE), numbers, "partial")


@pytest.mark.parametrize("budget", [2, "all"])
def test_no_unknown_label_is_visible(budget):
    seen = in_label_space(domain(*SOURCE), domain("dog", *SOURCE), "open")
    visible = seen.splits["train"].labels.visible(budget, seed=0)
    assert set(visible.tolist()) == {-1, 0, 1, 2}


def test_the_metrics_of_an_open_set_are_those_of_the_paper():
    metrics = OpenSet(("a", "b")).metrics()
    # Two of three samples of a are right, the only one of b is wrong, and two samples are unknown.
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    metrics.update(logits, torch.tensor([0, 0, 0, 1, 2, 2]))
    result = metrics.compute()
    assert result["n"] == 6
    assert result["unknown"] == 2
    assert result["accuracy"] == pytest.approx(2 / 6)
    assert result["known_accuracy"] == pytest.approx((2 / 3 + 0) / 2)
