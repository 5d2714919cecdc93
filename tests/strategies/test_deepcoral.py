import numpy as np
import pytest
import torch
from small_problem import batches, falls, loss, loss_of, of_term, output, parts

from landbridge.errors import LandbridgeError


def align(strategy, source, target):
    y = torch.zeros(len(source), dtype=torch.long)
    return float(loss_of(strategy, output("source", source, y=y), output("target_unlabelled", target))["+coral"])


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 4, generator=generator).double(), 2 * torch.randn(16, 4, generator=generator).double()


def test_the_paper_compares_covariances(samples):
    s, t = (sample.numpy() for sample in samples)
    expected = np.sum((np.cov(s.T) - np.cov(t.T)) ** 2) / (4 * 4**2)
    assert align(of_term("coral", weight=7.0), *samples) == pytest.approx(7 * expected)


def test_the_variant_compares_means_too(samples):
    s, t = (sample.numpy() for sample in samples)
    expected = np.mean((s.mean(0) - t.mean(0)) ** 2) + np.mean((np.cov(s.T) - np.cov(t.T)) ** 2)
    assert align(of_term("coral", weight=7.0, variant="with_mean"), *samples) == pytest.approx(7 * expected)
    moved = samples[0] + 1
    assert align(of_term("coral"), samples[0], moved) == pytest.approx(0, abs=1e-12)
    assert align(of_term("coral", weight=1.0, variant="with_mean"), samples[0], moved) == pytest.approx(1)


@pytest.mark.parametrize("variant", ["paper", "with_mean"])
def test_alignment_trains_only_the_backbone_and_reduces_the_distance(variant):
    strategy = of_term("coral", variant=variant)
    assert parts(strategy, loss(strategy, batches())["+coral"]) == {"backbone"}
    assert falls(strategy, batches(), "+coral")


def test_a_batch_of_one_sample_is_refused(samples):
    with pytest.raises(LandbridgeError, match=r"terms: coral needs batches of at least 2 samples, .* have 1"):
        align(of_term("coral"), samples[0], samples[1][:1])
