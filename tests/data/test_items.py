"""Test samples have the same numbers in every split and order of a domain."""

import numpy as np
import pytest
import torch

from landbridge.config.build import build
from landbridge.data.domain import domain_from_positions
from landbridge.data.inputs import TensorInputs
from landbridge.data.sources.union import union
from landbridge.record import Record, pack_items, unpack_items, unpack_scores
from landbridge.record.schema import find_fault
from landbridge.run.evaluate import judged
from landbridge.tasks import Classification

N = 40


def made(order, inputs):
    """Make a domain whose splits have the samples in some order."""
    labels = torch.zeros(N, dtype=torch.long)
    positions = dict(zip(("train", "val", "test"), order.tensor_split([20, 30]), strict=True))
    return domain_from_positions("zoo", ("ant", "bee"), inputs, labels, positions)


def orders(count=5):
    return [torch.randperm(N, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]


def test_a_number_is_the_rank_of_the_content_whatever_the_splits_and_their_order():
    inputs = TensorInputs(torch.arange(N).float().unsqueeze(1))
    rank = {content: number for number, content in enumerate(sorted(inputs.hashes()))}
    domains = [made(order, inputs) for order in orders()]
    for domain in domains:
        for split, part in domain.splits.items():
            assert domain.items(split).tolist() == [rank[content] for content in part.inputs.hashes()]
    assert len({domain.samples for domain in domains}) == 1
    other = TensorInputs(torch.arange(1, N + 1).float().unsqueeze(1))
    assert made(orders(1)[0], other).samples != domains[0].samples


def test_copies_have_numbers_of_their_own():
    inputs = TensorInputs((torch.arange(N) // 4).float().unsqueeze(1))
    domain = made(torch.arange(N), inputs)
    numbers = np.concatenate([domain.items(split) for split in domain.splits])
    assert sorted(numbers) == list(range(N))
    assert all(np.ptp(four) == 3 for four in numbers.reshape(-1, 4))


def test_the_samples_of_a_union_have_numbers():
    parts = [TensorInputs(torch.rand(N, 3, generator=torch.Generator().manual_seed(seed))) for seed in range(2)]
    domains = [union({str(i): made(order, part) for i, part in enumerate(parts)}) for order in orders(2)]
    assert domains[0].samples == domains[1].samples
    first, second = ({*domain.items("test").tolist()} for domain in domains)
    contents = [{*domain.splits["test"].inputs.hashes()} for domain in domains]
    assert len(first & second) == len(contents[0] & contents[1]) > 0


def test_numbers_are_read_from_a_record():
    items = np.array([7, 0, 70_000])
    assert unpack_items(pack_items(items)).tolist() == [7, 0, 70_000]
    assert unpack_items({"n": 3, "correct": "4A=="}) is None


def test_a_run_records_which_samples_it_tested(tiny, compose, tmp_path):
    record = tiny("strategy=source_only")
    assert Record.read(tmp_path / "run").results == record.results

    target = build(compose("experiment=tiny").target)
    assert record.data["target"]["samples"] == target.samples
    result = record.results["target"]
    assert unpack_items(result).tolist() == target.items("test").tolist()
    assert len(unpack_items(result)) == len(unpack_scores(result)) == result["n"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [({"items": "AAAA"}, "items has 3 bytes, but 12 samples take 48"), ({"items": "?"}, "items is not base64")],
)
def test_numbers_that_do_not_fit_are_refused(change, fault):
    record = {"schema": 2, "status": "running", "results": {"target": {"n": 12, "correct": "AAA="} | change}}
    assert fault in find_fault(record)


def test_samples_without_a_label_have_a_score_and_a_number():

    y = torch.tensor([0, 1, -1, 1, -1])
    result = judged(Classification(("ant", "bee")), torch.randn(5, 2), y) | pack_items(np.arange(5))
    assert result["n"] == 3
    assert not find_fault({"schema": 2, "status": "running", "results": {"target": result}})
