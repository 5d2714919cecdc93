import pytest
import torch
from small_problem import batches, falls, loss, loss_of, of_term, output, parts

from landbridge.errors import LandbridgeError


@pytest.fixture
def sample():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 4, generator=generator), 3 * torch.randn(20, 3, generator=generator)


def align(strategy, source, target):
    y = torch.zeros(len(source[0]), dtype=torch.long)
    (name,) = strategy.terms
    return loss_of(strategy, output("source", *source, y), output("target_unlabelled", *target))[f"+{name}"]


def test_identical_pairs_have_no_discrepancy(sample):
    assert float(align(of_term("jan", estimator="biased"), sample, sample)) == pytest.approx(0, abs=1e-6)


def test_the_joint_discrepancy_depends_on_the_pairing_of_features_and_predictions(sample):
    features, logits = sample
    shuffled = features, logits.roll(7, dims=0)
    assert float(align(of_term("dan", estimator="biased"), sample, shuffled)) == pytest.approx(0, abs=1e-6)
    assert float(align(of_term("jan", estimator="biased"), sample, shuffled)) > 0.05


def test_with_equal_predictions_the_joint_discrepancy_is_that_of_the_features(sample):
    features, logits = sample
    other = features + 1
    same = logits[:1].expand(20, 3)
    jan, dan = (of_term(name, weight=2.0, estimator="unbiased") for name in ("jan", "dan"))
    pairs = (features, same), (other, same)
    torch.testing.assert_close(align(jan, *pairs), align(dan, *pairs))


def test_alignment_trains_backbone_and_head_and_reduces_the_distance():
    strategy = of_term("jan")
    assert parts(strategy, loss(strategy, batches())["+joint_mmd"]) == {"backbone", "head"}
    assert falls(strategy, batches(), "+joint_mmd")


def test_the_default_estimator_needs_batches_of_equal_size():
    with pytest.raises(LandbridgeError, match="terms: joint_mmd with estimator=linear compares batches of equal size"):
        loss(of_term("jan"), batches(24, 10))
    loss(of_term("jan", estimator="unbiased"), batches(24, 10))
