"""The order of samples, and streams that have labels only if the setting shows them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from landbridge.data.inputs import TensorInputs
from landbridge.data.streams import JointBatches, OrderedBatches, Stream, StreamIndices, choose_streams, labelled
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import GREY_28
from landbridge.strategies import Output

SIZES = st.integers(1, 40)
BATCH = st.integers(1, 50)
STEPS = st.integers(1, 9)
SEED = st.integers(0, 2**31)


def epoch(order: StreamIndices, number: int) -> list[dict[str, list[int]]]:
    return [{name: indices.tolist() for name, indices in step.items()} for step in order.epoch(number)]


def flow(order: StreamIndices, epochs: int, name: str = "source") -> list[int]:
    """Return all samples of a stream in the order in which a run of some epochs reads them."""
    return [index for number in range(epochs) for step in epoch(order, number) for index in step[name]]


@given(SIZES, BATCH, STEPS, SEED)
def test_every_pass_covers_every_sample_once(size, batch, steps, seed):
    order = StreamIndices({"source": size}, batch, steps, seed)
    assert len(order) == steps
    assert all(len(step["source"]) == min(batch, size) for step in epoch(order, 3))
    seen = flow(order, epochs=3)
    passes = [seen[i : i + size] for i in range(0, len(seen), size)]
    for each in passes[:-1]:
        assert sorted(each) == list(range(size))
    assert len(set(passes[-1])) == len(passes[-1])


@given(SIZES, SIZES, BATCH, STEPS, SEED, st.integers(0, 5))
def test_an_epoch_does_not_depend_on_earlier_epochs_or_on_other_streams(one, other, batch, steps, seed, number):
    straight = StreamIndices({"source": one, "target": other}, batch, steps, seed)
    for before in range(number):
        epoch(straight, before)
    resumed = epoch(StreamIndices({"source": one}, batch, steps, seed), number)
    assert [step["source"] for step in epoch(straight, number)] == [step["source"] for step in resumed]


def test_each_pass_seed_and_stream_has_its_own_order():
    def first_pass(seed: int = 0, name: str = "source", number: int = 0) -> tuple[int, ...]:
        return tuple(epoch(StreamIndices({name: 50}, 50, 1, seed), number)[0][name])

    assert len({first_pass(), first_pass(seed=1), first_pass(name="target"), first_pass(number=1)}) == 4


@given(st.integers(1, 5), st.integers(1, 8), STEPS, SEED, st.integers(1, 4))
def test_ranks_divide_the_global_batch(batch, batches, steps, seed, world):
    size = batch * world * batches
    alone = epoch(StreamIndices({"source": size}, batch * world, steps, seed), 1)
    ranks = [epoch(StreamIndices({"source": size}, batch, steps, seed, rank, world), 1) for rank in range(world)]
    for step, whole in enumerate(alone):
        assert [index for rank in ranks for index in rank[step]["source"]] == whole["source"]


# ---- labels


@pytest.fixture
def inputs():
    return TensorInputs(torch.arange(6 * 4).view(6, 1, 2, 2).byte())


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unlabelled_stream_has_no_labels_in_any_process(inputs, workers):
    y = torch.arange(6)
    streams = {"source": Stream(inputs, GREY_28, y), "target_unlabelled": Stream(inputs, GREY_28)}
    order = StreamIndices({"source": 6, "target_unlabelled": 6}, 4, steps=3, seed=0)
    for batch in DataLoader(JointBatches(streams), batch_size=None, sampler=order, num_workers=workers):
        assert batch["source"].keys() == {"x", "y", "index"}
        assert torch.equal(batch["source"]["y"], y[batch["source"]["index"]])
        assert batch["target_unlabelled"].keys() == {"x", "index"}
        assert torch.equal(batch["source"]["x"].tensors[0][:, 0, 0, 0], batch["source"]["index"].byte() * 4)


def test_reading_the_labels_of_an_unlabelled_output_raises():
    blank = torch.zeros(2, 3)
    with pytest.raises(LandbridgeError, match="the stream target_unlabelled carries no labels"):
        _ = Output("target_unlabelled", blank, blank, torch.arange(2)).y
    assert Output("source", blank, blank, torch.arange(2), torch.ones(2)).y.tolist() == [1, 1]


def test_a_labelled_stream_holds_the_samples_with_visible_labels(inputs):
    stream = labelled(inputs, GREY_28, torch.tensor([-1, 2, -1, 0, 1, -1]))
    assert len(stream.inputs) == 3
    batch = stream.read(torch.tensor([2, 0]))
    assert batch["x"].tensors[0][:, 0, 0, 0].tolist() == [16, 4]
    assert batch["y"].tolist() == [1, 2]


@given(st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=30)
def test_evaluation_reads_every_sample_once_in_order(size, batch_size):
    inputs = TensorInputs(torch.arange(size).byte().view(-1, 1, 1, 1))
    dataset = OrderedBatches("target", Stream(inputs, GREY_28), batch_size)
    batches = [dataset[i] for i in range(len(dataset))]
    assert torch.cat([batch["x"].tensors[0] for batch in batches]).flatten().tolist() == list(range(size))
    assert all(len(batch["index"]) == batch_size for batch in batches[:-1])


# ---- the choice of streams


@pytest.mark.parametrize(
    ("needs", "optional", "labels", "has_source", "chosen"),
    [
        ({"source"}, set(), 0, True, {"source"}),
        ({"source", "target_unlabelled"}, {"target"}, 0, True, {"source", "target_unlabelled"}),
        ({"source", "target_unlabelled"}, {"target"}, 3, True, {"source", "target_unlabelled", "target"}),
        ({"target"}, {"source"}, "all", False, {"target"}),
        ({"target"}, set(), 1, True, {"target"}),
        ({"target_unlabelled"}, {"source"}, 0, True, {"source", "target_unlabelled"}),
    ],
)
def test_a_run_builds_the_streams_that_its_strategy_needs_and_can_use(needs, optional, labels, has_source, chosen):
    assert choose_streams("S", frozenset(needs), frozenset(optional), labels, has_source) == chosen


@pytest.mark.parametrize(
    ("needs", "labels", "has_source", "message"),
    [
        (
            {"target"},
            0,
            True,
            "strategy S needs labelled target samples, but this setting (target_labels=0) provides none: "
            "set target_labels to a number per class or to all",
        ),
        (
            {"source"},
            "all",
            False,
            "strategy S needs labelled source samples, but this setting (target_labels=all, no source) provides none: "
            "set source=...",
        ),
    ],
)
def test_the_error_names_a_stream_that_the_setting_does_not_provide(needs, labels, has_source, message):
    with pytest.raises(LandbridgeError) as error:
        choose_streams("S", frozenset(needs), frozenset(), labels, has_source)
    assert str(error.value) == message
