"""Balanced orders: classes come equally often, and the order is a pure function of seed and step."""

import itertools
from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.data.orders import Balanced, Shuffled
from landbridge.data.streams import StreamIndices

#: At least one sample of each of 1 to 5 classes, whose indices may have gaps.
CLASSES = st.lists(st.integers(1, 12), min_size=1, max_size=5).flatmap(
    lambda sizes: st.permutations([2 * c for c, size in enumerate(sizes) for _ in range(size)])
)
SEEDS = st.integers(0, 2**31)


def flow(classes: list[int], count: int, seed: int = 0) -> list[int]:
    """Return the first positions of a balanced order."""
    order = Balanced("source", torch.tensor(classes), seed)
    passes = (order.passed(number).tolist() for number in itertools.count())
    return list(itertools.islice(itertools.chain.from_iterable(passes), count))


@given(CLASSES, SEEDS)
@settings(max_examples=50, deadline=None)
def test_every_round_has_each_class_once(classes, seed):
    k = len(set(classes))
    seen = [classes[position] for position in flow(classes, 7 * k, seed)]
    assert all(set(seen[i : i + k]) == set(classes) for i in range(0, len(seen), k))


@given(CLASSES, SEEDS)
@settings(max_examples=50, deadline=None)
def test_no_sample_of_a_class_comes_twice_before_the_others_have_come(classes, seed):
    counts = Counter()
    members = {c: [i for i, each in enumerate(classes) if each == c] for c in set(classes)}
    for position in flow(classes, 6 * len(classes), seed):
        counts[position] += 1
        own = [counts[i] for i in members[classes[position]]]
        assert max(own) - min(own) <= 1


def test_the_order_of_a_class_and_of_the_classes_varies():
    classes = [0, 1, 2] * 20
    first, second = (flow(classes, 120)[i : i + 60] for i in (0, 60))
    assert first != second
    assert flow(classes, 60, seed=1) != first
    assert len({tuple(classes[i] for i in first[r : r + 3]) for r in range(0, 60, 3)}) > 2


@given(CLASSES, st.integers(1, 9), st.integers(1, 5), SEEDS, st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_an_epoch_depends_on_seed_and_step_alone(classes, batch, steps, seed, number):
    sizes, balanced = {"source": len(classes), "target_unlabelled": 30}, {"source": torch.tensor(classes)}

    def epoch(order: StreamIndices, number: int) -> list[dict[str, list[int]]]:
        return [{name: indices.tolist() for name, indices in step.items()} for step in order.epoch(number)]

    straight = StreamIndices(sizes, batch, steps, seed, classes=balanced)
    for before in range(number):
        epoch(straight, before)
    fresh = epoch(StreamIndices(sizes, batch, steps, seed, classes=balanced), number)
    assert epoch(straight, number) == fresh
    # Streams without labels have the order that they have without balanced sampling.
    plain = epoch(StreamIndices(sizes, batch, steps, seed), number)
    assert [step["target_unlabelled"] for step in fresh] == [step["target_unlabelled"] for step in plain]


@given(CLASSES, st.integers(1, 4), st.integers(1, 4), SEEDS)
@settings(max_examples=50, deadline=None)
def test_ranks_divide_the_global_batch(classes, batch, world, seed):
    classes = classes * batch * world  # a stream that is smaller than a batch gives smaller batches
    sizes, balanced = {"source": len(classes)}, {"source": torch.tensor(classes)}
    alone = list(StreamIndices(sizes, batch * world, 5, seed, classes=balanced))
    ranks = [list(StreamIndices(sizes, batch, 5, seed, rank, world, classes=balanced)) for rank in range(world)]
    for step, whole in enumerate(alone):
        assert [index for rank in ranks for index in rank[step]["source"].tolist()] == whole["source"].tolist()


def test_draws_of_cached_views_cover_all_draws_of_the_same_samples():
    classes = torch.tensor([0, 0, 0, 1])
    order, plain = Balanced("source", classes, 0, draws=3), Balanced("source", classes, 0)
    drawn = torch.cat([order.passed(number) for number in range(40)])
    assert torch.equal(drawn % 4, torch.cat([plain.passed(number) for number in range(40)]))
    assert (drawn // 4).unique().tolist() == [0, 1, 2]


def test_a_class_without_samples_has_no_place_and_one_class_is_an_ordinary_pass():
    assert {[7, 3][i] for i in flow([7, 3], 10)} == {3, 7}
    assert sorted(flow([4] * 9, 9)) == list(range(9))
    assert Balanced("source", torch.zeros(9), 0).length == Shuffled("source", 9, 0).length == 9


def test_a_stream_may_have_batches_of_another_size():
    sizes = {"source": 40, "target_unlabelled": 50}
    plain, wider = (
        list(StreamIndices(sizes, 8, 5, seed=1, other_batch_sizes=other)) for other in ({}, {"target_unlabelled": 24})
    )
    assert [len(step["target_unlabelled"]) for step in wider] == [24] * 5
    assert all(a["source"].equal(b["source"]) for a, b in zip(plain, wider, strict=True))
    # The wider batches read the same sequence of samples.
    read = [torch.cat([step["target_unlabelled"] for step in each]) for each in (plain, wider)]
    assert read[0].equal(read[1][: len(read[0])])
