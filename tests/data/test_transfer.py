"""The streams of a transfer hold no label beyond the budget, and the data module reads them in batches."""

import dataclasses
import io
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dusk import dusk
from landbridge.data.augment import VIEWS
from landbridge.data.domain import Domain
from landbridge.data.formats import Format, VectorFormat
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import GREY_28

ALL = frozenset({"source", "target", "target_unlabelled"})
NOON, DUSK = dusk("noon"), dusk("dusk", shift=0.5)


def streams_of(
    names=ALL, target_labels=2, seed=0, source: Domain | None = NOON, format: Format = GREY_28
) -> TransferStreams:
    return TransferStreams.of(
        source=source, target=DUSK, names=names, target_labels=target_labels, format=format, seed=seed
    )


def transfer(names=ALL, target_labels=2, seed=0, **settings) -> TransferData:
    return TransferData(streams_of(names, target_labels, seed), **settings)


def truth(domain, split):
    part = domain.splits[split]
    return dict(zip(part.inputs.hashes(), part.labels.open("test").tolist(), strict=True))


# ---- the streams


def test_only_the_requested_streams_exist():
    assert streams_of(frozenset({"source"})).training.keys() == {"source"}
    batch = next(iter(transfer().train_dataloader()))
    assert {name: set(stream) for name, stream in batch.items()} == {
        "source": {"x", "y", "index"},
        "target": {"x", "y", "index"},
        "target_unlabelled": {"x", "index"},
    }


def test_without_a_source_there_are_only_streams_of_the_target():
    streams = streams_of(frozenset({"target", "target_unlabelled"}), source=None)
    assert streams.training.keys() == {"target", "target_unlabelled"}
    assert streams.validation.keys() == streams.validation_labels.keys() == {"target"}
    assert streams.augmentations.keys() == {"target", "target_unlabelled"}


def test_the_streams_describe_the_setting():
    streams = streams_of(target_labels=4, seed=3)
    assert (streams.task, streams.target_labels, streams.seed) == (DUSK.task, 4, 3)
    assert streams.target_size == len(DUSK.splits["train"].inputs) == 36
    assert streams.format == GREY_28


def test_each_stream_has_the_augmentations_of_its_domain():
    photographs, digits = (dataclasses.replace(NOON, image_kind=kind) for kind in ("photographs", "digits"))
    streams = TransferStreams.of(source=photographs, target=digits, names=ALL, target_labels=2, format=GREY_28, seed=0)
    assert streams.augmentations == {
        "source": VIEWS["photographs"],
        "target": VIEWS["digits"],
        "target_unlabelled": VIEWS["digits"],
    }


def test_new_streams_have_nothing_cached():
    streams = streams_of()
    assert streams.cached_views == {}
    assert streams.cached(streams.training["source"].inputs) is None
    assert all(stream.activations is None and stream.views is None for stream in streams.training.values())


@pytest.mark.parametrize("attribute", [each.name for each in dataclasses.fields(TransferStreams)])
def test_the_attributes_of_the_streams_cannot_be_changed(attribute):
    streams = streams_of()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(streams, attribute, getattr(streams, attribute))


@pytest.mark.parametrize(("target_labels", "shown"), [(1, 3), (4, 12), ("all", 36)])
def test_the_target_stream_holds_as_many_true_labels_as_its_budget(target_labels, shown):
    stream = streams_of(target_labels=target_labels).training["target"]
    right = truth(DUSK, "train")
    assert stream.labels is not None
    assert stream.labels.tolist() == [right[content] for content in stream.inputs.hashes()]
    assert stream.labels.bincount().tolist() == [shown // 3] * 3


def test_the_unlabelled_stream_holds_all_samples_and_no_label():
    stream = streams_of(target_labels="all").training["target_unlabelled"]
    assert stream.labels is None
    assert stream.inputs.hashes() == DUSK.splits["train"].inputs.hashes()


def test_the_seed_selects_the_labelled_samples():
    picked = [set(streams_of(seed=seed).training["target"].inputs.hashes()) for seed in (0, 0, 1)]
    assert picked[0] == picked[1] != picked[2]


@pytest.mark.parametrize(("target_labels", "shown"), [(0, 0), (2, 6), ("all", 12)])
def test_the_validation_labels_have_the_same_budget(target_labels, shown):
    data = transfer(frozenset({"source"}), target_labels)
    labels = data.streams.validation_labels["target"]
    right = torch.tensor(list(truth(DUSK, "val").values()))
    assert int((labels >= 0).sum()) == shown
    assert torch.equal(labels[labels >= 0], right[labels >= 0])
    assert bool((labels[labels < 0] == -1).all())
    assert bool((data.streams.validation_labels["source"] >= 0).all())
    for loader in data.val_dataloader():
        assert all("y" not in batch for batch in loader)


class Spy(pickle.Pickler):
    """Collects the types of all objects that can be reached from an object."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.seen: set[str] = set()

    def reducer_override(self, obj):
        self.seen.add(type(obj).__name__)
        return NotImplemented


@pytest.mark.parametrize("of", [streams_of, transfer])
def test_streams_and_data_module_hold_no_sealed_label(of):
    spy = Spy()
    spy.dump(vars(of()))
    assert "Stream" in spy.seen
    assert not spy.seen & {"Labels", "Split", "Domain"}


def test_a_backbone_for_vectors_refuses_images():
    with pytest.raises(LandbridgeError, match="the backbone takes vector inputs, but domain noon holds images"):
        streams_of(target_labels=0, format=VectorFormat(3))
    with pytest.raises(LandbridgeError, match="the backbone takes vector inputs, but domain dusk holds images"):
        streams_of(frozenset({"target_unlabelled"}), target_labels=0, format=VectorFormat(3), source=None)


# ---- reading the streams in batches


@given(st.integers(1, 80), st.integers(1, 4), st.sampled_from([0, 2, "all"]))
def test_an_epoch_is_one_pass_over_the_target_for_all_streams_and_budgets(batch_size, processes, labels):
    names = ALL if labels else frozenset({"source"})
    data = transfer(names, labels, batch_size=batch_size, processes=processes)
    assert data.steps_per_epoch == math.ceil(36 / (batch_size * processes)) == len(data.train_dataloader())


@pytest.mark.parametrize("processes", [1, 3])
def test_the_length_of_an_epoch_can_be_set(processes):
    assert transfer(steps_per_epoch=7, processes=processes).steps_per_epoch == 7


def test_epochs_after_the_reading_epochs_have_empty_batches():
    data = transfer(batch_size=10, reading_epochs=1)
    loader = data.train_dataloader()
    for epoch, rows in ((0, 10), (1, 0)):
        batches = [loader.dataset[indices] for indices in loader.sampler.epoch(epoch)]
        assert len(batches) == data.steps_per_epoch == 4
        assert {len(batch["target_unlabelled"]["x"]) for batch in batches} == {rows}


def test_workers_read_the_same_batches_and_no_further_label():
    alone, helped = (list(transfer(batch_size=10, workers=workers).train_dataloader()) for workers in (0, 1))
    assert len(alone) == len(helped) == 4
    for one, other in zip(alone, helped, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].keys() == other[name].keys()
            assert all(torch.equal(one[name][key], other[name][key]) for key in one[name] if key != "x")
            assert torch.equal(one[name]["x"].tensors[0], other[name]["x"].tensors[0])
    assert all("y" not in batch["target_unlabelled"] for batch in helped)


def test_reading_does_not_change_the_global_random_state():
    before = torch.get_rng_state()
    data = transfer()
    for loader in (data.train_dataloader(), *data.val_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)
