from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.data.digests import DIGEST, Digests
from landbridge.data.groups import join_groups
from landbridge.data.splits import SPLITS, split_indices

shares = st.floats(0.05, 0.4)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def grouped_labels(draw):
    """Draw labels and groups of one to six samples; each group has one class."""
    sizes = draw(st.lists(st.lists(st.integers(1, 6), min_size=3, max_size=12), min_size=2, max_size=4))
    labels = [label for label, groups in enumerate(sizes) for size in groups for _ in range(size)]
    groups = [
        (label, number) for label, row in enumerate(sizes) for number, size in enumerate(row) for _ in range(size)
    ]
    order = draw(st.permutations(range(len(labels))))
    return torch.tensor([labels[i] for i in order]), [groups[i] for i in order], max(map(max, sizes))


def contents(n, seed=0):
    return Digests(np.random.default_rng(seed).integers(0, 256, (n, DIGEST)).astype(np.uint8))


def stratified(labels, groups=None, **settings):
    return split_indices(contents(len(labels)), groups, strata=labels, **settings)


def sides(positions):
    return {int(position): name for name, where in positions.items() for position in where}


@given(st.lists(st.integers(6, 60), min_size=2, max_size=5), seeds)
@settings(deadline=None, max_examples=50)
def test_every_class_has_the_wanted_shares_without_groups(counts, seed):
    labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    positions = stratified(labels, val=0.1, test=0.2, seed=seed)
    for label, count in enumerate(counts):
        got = {name: int((labels[where] == label).sum()) for name, where in positions.items()}
        test = round(0.2 * count)
        val = max(1, round(0.1 * count))
        assert got == {"train": count - val - test, "val": val, "test": test}


@given(grouped_labels(), shares, shares, seeds)
@settings(deadline=None, max_examples=100)
def test_splits_are_a_partition_that_divides_no_group_and_omits_no_class(sample, val, test, seed):
    labels, groups, largest = sample
    positions = stratified(labels, groups, val=val, test=test, seed=seed)
    assert list(positions) == list(SPLITS)
    assert sorted(torch.cat(list(positions.values())).tolist()) == list(range(len(labels)))
    assert all(bool((where.diff() > 0).all()) for where in positions.values())

    side = sides(positions)
    for group in set(groups):
        assert len({side[i] for i in range(len(labels)) if groups[i] == group}) == 1
    for label in labels.unique():
        members = labels == label
        for name, share in (("val", val), ("test", test)):
            held = int(members[positions[name]].sum())
            assert held > 0
            assert abs(held - share * int(members.sum())) <= largest + 0.5
        assert members[positions["train"]].any()


@given(grouped_labels(), seeds)
@settings(deadline=None, max_examples=30)
def test_splits_do_not_depend_on_the_names_of_groups_or_on_global_seeds(sample, seed):
    labels, groups, _ = sample
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = stratified(labels, groups, seed=seed)
    renamed = stratified(labels, [hash(("other", group)) for group in groups], seed=seed)
    assert sides(first) == sides(renamed)
    assert torch.equal(state[0], torch.get_rng_state())
    assert np.array_equal(state[1], np.random.get_state()[1])


@given(st.integers(6, 300), shares, shares, seeds)
@settings(deadline=None, max_examples=50)
def test_shares_are_exact_without_groups(n, val, test, seed):
    held = {name: len(where) for name, where in split_indices(contents(n), val=val, test=test, seed=seed).items()}
    wanted = {"val": max(1, round(val * n)), "test": max(1, round(test * n))}
    assert held == {"train": n - sum(wanted.values()), **wanted}


@given(grouped_labels(), st.data(), seeds, st.booleans())
@settings(deadline=None, max_examples=50)
def test_the_order_of_the_samples_changes_no_split(sample, data, seed, by_class):
    labels, groups, _ = sample
    order = torch.tensor(data.draw(st.permutations(range(len(labels)))))
    known = contents(len(labels))
    moved = split_indices(
        known.select(order), [groups[i] for i in order], strata=labels[order] if by_class else None, seed=seed
    )
    stayed = split_indices(known, groups, strata=labels if by_class else None, seed=seed)
    for name, where in stayed.items():
        assert sorted(order[moved[name]].tolist()) == where.tolist()


def test_different_seeds_give_independent_splits():
    known = contents(2000)
    tests = [{*split_indices(known, seed=seed)["test"].tolist()} for seed in (0, 1, 10)]
    assert all(len(one & other) == pytest.approx(80, abs=30) for one, other in pairwise(tests))


def test_a_split_shows_nothing_of_the_contents_beyond_the_hash():
    # The order of the hashes themselves would do the same for every seed.
    known = Digests(np.sort(contents(1000).content.view("S16").ravel()).view(np.uint8).reshape(-1, DIGEST))
    test = split_indices(known)["test"].float()
    assert test.mean().item() == pytest.approx(500, abs=60)


def test_groups_of_one_sample_change_nothing():
    known = contents(100)
    assert sides(split_indices(known)) == sides(split_indices(known, [f"hash{i}" for i in range(100)]))


def test_one_large_group_goes_to_train():
    # The groups have 2, 2 and 96 samples. If test were filled until its share is reached, the large group would often
    # go to test.
    labels = torch.zeros(100, dtype=torch.long)
    groups = [0, 0, 1, 1] + [2] * 96
    for seed in range(20):
        held = {name: len(where) for name, where in stratified(labels, groups, seed=seed).items()}
        assert held == {"train": 96, "val": 2, "test": 2}


def test_groups_may_be_any_values():
    labels = torch.zeros(8, dtype=torch.long)
    groups = [("a", 1), ("a", 1), ("a", 2), None, None, 1, "1", 1]
    side = sides(stratified(labels, groups))
    assert side[0] == side[1]
    assert side[3] == side[4]
    assert side[5] == side[7]
    # 1 and "1" are different groups, so some seed puts them into different splits.
    assert any((s := sides(stratified(labels, groups, seed=seed)))[5] != s[6] for seed in range(20))


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_share_of_zero_leaves_the_split_empty(split):
    positions = split_indices(contents(60), **{split: 0.0})
    assert len(positions[split]) == 0
    assert positions[split].dtype == torch.long
    assert sum(map(len, positions.values())) == 60


@given(st.integers(1, 3), st.data())
@settings(deadline=None, max_examples=50)
def test_joined_groups_are_the_connected_components(groupings, data):
    n = data.draw(st.integers(1, 15))
    rows = [data.draw(st.lists(st.integers(0, 8), min_size=n, max_size=n)) for _ in range(groupings)]
    joined = join_groups(*rows)

    linked = np.eye(n, dtype=bool)
    for row in rows:
        linked |= np.equal.outer(row, row)
    reachable = np.linalg.matrix_power(linked.astype(float), n) > 0
    assert np.array_equal(np.equal.outer(joined, joined), reachable)
    assert list(dict.fromkeys(joined)) == list(range(len(set(joined))))
