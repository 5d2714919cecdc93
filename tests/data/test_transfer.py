"""The data module holds the streams that are asked for, and no label beyond the budget."""

import io
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dusk import dusk
from landbridge.backbones.small import GREY_28
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError

ALL = frozenset({"source", "target", "target_unlabelled"})
NOON, DUSK = dusk("noon"), dusk("dusk", shift=0.5)


def transfer(streams=ALL, target_labels=2, seed=0, **settings) -> TransferData:
    return TransferData(NOON, DUSK, streams, target_labels, GREY_28, seed, **settings)


def truth(domain, split):
    part = domain.splits[split]
    return dict(zip(part.inputs.hashes(), part.labels.open("test").tolist(), strict=True))


def test_only_the_streams_that_are_asked_for_exist():
    assert transfer(frozenset({"source"})).streams.keys() == {"source"}
    batch = next(iter(transfer().train_dataloader()))
    assert {name: set(stream) for name, stream in batch.items()} == {
        "source": {"x", "y", "index"},
        "target": {"x", "y", "index"},
        "target_unlabelled": {"x", "index"},
    }


@pytest.mark.parametrize(("target_labels", "shown"), [(1, 3), (4, 12), ("all", 36)])
def test_the_target_stream_holds_its_budget_of_right_labels(target_labels, shown):
    stream = transfer(target_labels=target_labels).streams["target"]
    right = truth(DUSK, "train")
    assert stream.labels is not None
    assert stream.labels.tolist() == [right[content] for content in stream.inputs.hashes()]
    assert stream.labels.bincount().tolist() == [shown // 3] * 3


def test_the_seed_picks_the_labelled_samples():
    picked = [set(transfer(seed=seed).streams["target"].inputs.hashes()) for seed in (0, 0, 1)]
    assert picked[0] == picked[1] != picked[2]


@pytest.mark.parametrize(("target_labels", "shown"), [(0, 0), (2, 6), ("all", 12)])
def test_validation_shows_the_same_budget(target_labels, shown):
    data = transfer(frozenset({"source"}), target_labels)
    labels = data.validation_labels["target"]
    right = torch.tensor(list(truth(DUSK, "val").values()))
    assert int((labels >= 0).sum()) == shown
    assert torch.equal(labels[labels >= 0], right[labels >= 0])
    assert bool((labels[labels < 0] == -1).all())
    assert bool((data.validation_labels["source"] >= 0).all())
    for loader in data.val_dataloader():
        assert all("y" not in batch for batch in loader)


class Spy(pickle.Pickler):
    """Notes the type of everything that can be reached from an object."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.seen: set[str] = set()

    def reducer_override(self, obj):
        self.seen.add(type(obj).__name__)
        return NotImplemented


def test_it_holds_no_sealed_label():
    spy = Spy()
    spy.dump(vars(transfer()))
    assert "Stream" in spy.seen
    assert not spy.seen & {"Labels", "Split", "Domain"}


@given(st.integers(1, 80), st.integers(1, 4), st.sampled_from([0, 2, "all"]))
def test_an_epoch_is_a_pass_over_the_target_whatever_the_strategy_and_the_labels(batch_size, processes, labels):
    streams = ALL if labels else frozenset({"source"})
    data = transfer(streams, labels, batch_size=batch_size)
    data.processes = processes
    assert data.steps_per_epoch == math.ceil(36 / (batch_size * processes)) == len(data.train_dataloader())


def test_the_length_of_an_epoch_can_be_set():
    assert transfer(steps_per_epoch=7).steps_per_epoch == 7


def test_workers_read_the_same_batches_and_no_other_label():
    alone, helped = (list(transfer(batch_size=10, workers=workers).train_dataloader()) for workers in (0, 1))
    assert len(alone) == len(helped) == 4
    for one, other in zip(alone, helped, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].keys() == other[name].keys()
            assert all(torch.equal(one[name][key], other[name][key]) for key in one[name])
    assert all("y" not in batch["target_unlabelled"] for batch in helped)


def test_reading_leaves_the_global_random_numbers_alone():
    before = torch.get_rng_state()
    data = transfer()
    for loader in (data.train_dataloader(), *data.val_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_images_do_not_meet_a_backbone_for_vectors():
    with pytest.raises(LandbridgeError, match="the backbone takes vector inputs, but domain noon holds images"):
        TransferData(NOON, DUSK, ALL, 0, None, 0)
