import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.data.domain import Domain, Split, domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.labels import Labels
from landbridge.data.split_domain import split_domain
from landbridge.errors import LandbridgeError
from landbridge.tasks import Classification, MultiLabel, Regression

CLASSES = ("ant", "bee")


def samples(n=60, seed=0):
    pixels = torch.randint(0, 256, (n, 1, 3, 3), generator=torch.Generator().manual_seed(seed)).byte()
    return pixels, torch.arange(n) % 2


def hashes(domain, split):
    return domain.splits[split].inputs.hashes()


def three(*counts):
    edges = torch.tensor([0, *counts]).cumsum(0).tolist()
    return {
        name: torch.arange(first, last)
        for name, first, last in zip(("train", "val", "test"), edges, edges[1:], strict=False)
    }


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(LandbridgeError, match=r"zoo: val=0\.5 and test=0\.5 leave nothing to train on"):
        split_domain("zoo", CLASSES, TensorInputs(torch.zeros(60, 1)), torch.arange(60) % 3, val=0.5, test=0.5)


def test_a_split_domain_holds_every_sample_once_with_its_label():
    pixels, y = samples()
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y)
    assert list(domain.splits) == ["train", "val", "test"]
    label_of = dict(zip(TensorInputs(pixels).hashes(), y.tolist(), strict=True))
    seen = []
    for name, part in domain.splits.items():
        opened = part.labels.open("test").tolist()
        assert [label_of[content] for content in part.inputs.hashes()] == opened
        assert part.labels.where == f"zoo {name}"
        seen += part.inputs.hashes()
    assert sorted(seen) == sorted(label_of)
    assert domain.shape == (1, 3, 3)
    assert domain.modality == "image"


def test_a_domain_of_vectors_has_the_modality_vector():
    domain = split_domain("v", CLASSES, TensorInputs(torch.randn(40, 5)), torch.arange(40) % 2)
    assert domain.shape == (5,)
    assert domain.modality == "vector"


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=30), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_copies_are_never_divided_even_across_groups(pairs, seed):
    pixels, y = samples()
    for one, other in pairs:
        pixels[other] = pixels[one]
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, [i // 2 for i in range(60)], seed=seed)
    sides = [set(hashes(domain, split)) for split in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert sum(len(part.inputs) for part in domain.splits.values()) == 60


def test_a_given_test_split_is_kept_and_validation_is_taken_from_train():
    pixels, y = samples(100)
    given_splits = {"train": torch.arange(80), "test": torch.arange(80, 100)}
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, given=given_splits, val=0.25, stratify=True)
    assert {*hashes(domain, "test")} == {*TensorInputs(pixels[80:]).hashes()}
    assert len(domain.splits["val"].inputs) == 20
    assert len(domain.splits["train"].inputs) == 60
    assert domain.splits["val"].labels.open("test").bincount().tolist() == [10, 10]


def test_three_given_splits_are_kept():
    pixels, y = samples(60)
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, given=three(30, 10, 20))
    assert [len(part.inputs) for part in domain.splits.values()] == [30, 10, 20]
    assert list(hashes(domain, "train")) == sorted(TensorInputs(pixels[:30]).hashes())


def test_copies_in_two_given_splits_stay_in_test_before_val_before_train(caplog):
    pixels, y = samples(60)
    pixels[0] = pixels[50]  # train and test
    pixels[2] = pixels[30]  # train and val
    pixels[34] = pixels[52]  # val and test
    with caplog.at_level(logging.WARNING):
        domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, given=three(30, 10, 20))
    assert [len(part.inputs) for part in domain.splits.values()] == [28, 9, 20]
    assert "zoo: 1 samples are left out of val" in caplog.text
    assert "zoo: 2 samples are left out of train" in caplog.text


def test_groups_in_two_given_splits_stay_in_the_test_split(caplog):
    pixels, y = samples(60)
    groups = ["patient" if i in (4, 5, 41) else str(i) for i in range(60)]
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, groups, given=three(30, 10, 20))
    assert [len(part.inputs) for part in domain.splits.values()] == [28, 10, 20]
    assert "left out of train" in caplog.text


def test_there_is_no_warning_if_given_splits_share_nothing(caplog):
    pixels, y = samples(60)
    split_domain("zoo", CLASSES, TensorInputs(pixels), y, given=three(30, 10, 20))
    assert not caplog.text


def test_a_class_with_too_few_samples_is_named():
    pixels, _ = samples(32)
    y = torch.tensor([0] * 30 + [1] * 2)
    with pytest.raises(LandbridgeError, match=r"zoo: class 'bee' has no sample for .*its 2 samples form 2 groups"):
        split_domain("zoo", CLASSES, TensorInputs(pixels), y, stratify=True)


def test_splits_that_lack_a_class_are_named_in_a_warning(caplog):
    pixels, _ = samples(32)
    y = torch.tensor([0] * 31 + [1])
    split_domain("zoo", CLASSES, TensorInputs(pixels), y)
    lacking = [f"the {split} split has no sample of 1 of 2 classes (bee)" for split in ("train", "val", "test")]
    assert sum(each in caplog.text for each in lacking) == 2


@given(st.permutations(range(60)), st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_neither_the_order_of_the_samples_nor_their_labels_change_a_split(order, seed):
    pixels, y = samples()
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, seed=seed)
    moved = split_domain("zoo", CLASSES, TensorInputs(pixels[order]), y[order], seed=seed)
    assert moved.fingerprint == domain.fingerprint
    relabelled = split_domain("zoo", CLASSES, TensorInputs(pixels), torch.zeros_like(y), seed=seed)
    for split in domain.splits:
        assert hashes(relabelled, split) == hashes(domain, split)


def test_the_record_states_how_the_splits_were_made():
    pixels, y = samples()
    domain = split_domain("zoo", CLASSES, TensorInputs(pixels), y, seed=3, stratify=True)
    assert domain.summary()["design"] == {
        "pool": domain.samples,
        "splits": {"made": {"val": 0.1, "test": 0.2}, "seed": 3, "stratified": True},
    }
    fixed = split_domain("zoo", CLASSES, TensorInputs(pixels), y, given=three(30, 10, 20))
    assert fixed.summary()["design"].keys() == {"pool"}


def test_copies_do_not_make_a_class_large_enough():
    pixels, _ = samples(40)
    pixels[31:] = pixels[30]
    y = torch.tensor([0] * 30 + [1] * 10)
    with pytest.raises(
        LandbridgeError, match=r"class 'bee' has no sample for val and test: its 10 samples form 1 group"
    ):
        split_domain("zoo", CLASSES, TensorInputs(pixels), y, stratify=True)


def build(pixels, y, classes=CLASSES, name="zoo"):
    return split_domain(name, classes, TensorInputs(pixels), y)


def test_the_fingerprint_is_of_the_content_and_not_of_the_name():
    pixels, y = samples()
    assert build(pixels, y).fingerprint == build(pixels.clone(), y.clone(), name="other").fingerprint


@given(st.integers(0, 59), st.integers(0, 8))
@settings(deadline=None, max_examples=20)
def test_the_fingerprint_changes_with_any_pixel_and_any_label(row, pixel):
    pixels, y = samples()
    where = three(40, 10, 10)
    before = domain_from_positions("zoo", CLASSES, TensorInputs(pixels), y, where).fingerprint
    relabelled = y.clone()
    relabelled[row] = 1 - relabelled[row]
    assert domain_from_positions("zoo", CLASSES, TensorInputs(pixels), relabelled, where).fingerprint != before
    repainted = pixels.clone()
    repainted.view(60, -1)[row, pixel] ^= 1
    assert domain_from_positions("zoo", CLASSES, TensorInputs(repainted), y, where).fingerprint != before


def test_the_fingerprint_changes_with_class_names_splits_and_shape():
    pixels, y = samples()
    where = three(40, 10, 10)
    domains = [
        domain_from_positions("zoo", CLASSES, TensorInputs(pixels), y, where),
        domain_from_positions("zoo", ("ant", "wasp"), TensorInputs(pixels), y, where),
        domain_from_positions("zoo", ("an", "tbee"), TensorInputs(pixels), y, where),
        domain_from_positions("zoo", CLASSES, TensorInputs(pixels), y, three(39, 11, 10)),
        domain_from_positions("zoo", CLASSES, TensorInputs(pixels.view(60, 1, 1, 9)), y, where),
    ]
    assert len({domain.fingerprint for domain in domains}) == len(domains)


def test_the_fingerprint_of_other_tasks_changes_with_labels_names_and_kind():
    pixels, _ = samples()
    y = torch.rand(60, 2).round()
    changed = y.clone()
    changed[59, 1] += 1

    def mark(task, labels):
        return domain_from_positions("zoo", task, TensorInputs(pixels), labels, three(40, 10, 10)).fingerprint

    names = ("ant", "bee")
    assert mark(Regression(names), y) == mark(Regression(names), y.clone())
    different = [(Regression(names), y), (Regression(names), changed), (MultiLabel(names), y)]
    different.append((Regression(("ant", "fly")), y))
    assert len({mark(*each) for each in different}) == 4


def test_numbers_are_stratified_by_their_quantiles():
    pixels, _ = samples(100)
    y = torch.randperm(100).float()
    domain = split_domain("zoo", Regression(("age",)), TensorInputs(pixels), y, stratify=True)
    parts = {split: part.labels.open("test").flatten() for split, part in domain.splits.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 70, "val": 10, "test": 20}
    assert (parts["test"] // 10).long().bincount().tolist() == [2] * 10
    assert (parts["val"] // 10).long().bincount().tolist() == [1] * 10
    assert domain.summary()["task"]["kind"] == "regression"


def test_inputs_and_labels_of_different_length_are_refused():
    pixels, y = samples()
    task = Classification(CLASSES)
    labels = Labels(y[:-1], task, "zoo train")
    with pytest.raises(ValueError, match="60 samples but 59 labels"):
        Domain("zoo", task, {"train": Split(TensorInputs(pixels), labels)})


def test_an_empty_split_is_refused():
    pixels, y = samples()
    with pytest.raises(LandbridgeError, match="zoo: its test split is empty"):
        domain_from_positions("zoo", CLASSES, TensorInputs(pixels), y, three(40, 20, 0))
