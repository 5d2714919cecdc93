import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import softmax
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


def test_only_the_linear_estimator_needs_batches_of_equal_size():
    with pytest.raises(LandbridgeError, match="terms: joint_mmd with estimator=linear compares batches of equal size"):
        loss(of_term("jan", estimator="linear"), batches(24, 10))
    loss(of_term("jan"), batches(24, 10))


def authors_value(source, target):
    """The loss of the authors' code: the sums over pairs of its loops, in numpy."""
    n, joint = len(source[0]), np.ones(())
    for s, t, widths in zip(source, target, ((0.25, 0.5, 1, 2, 4), None), strict=True):
        pooled = np.concatenate([s, t])
        d = cdist(pooled, pooled, "sqeuclidean")
        # Their mean leaves out the zero distance of each point to itself; ours includes it.
        joint = joint * (np.exp(-d / 1.68) if widths is None else sum(np.exp(-d / (w * d.mean())) for w in widths))
    pairs = [(i, j) for i in range(n) for j in range(n)]
    within = sum(joint[i, j] + joint[n + i, n + j] for i, j in pairs if i < j) / (n * (n - 1) / 2)
    return within - sum(joint[i, n + j] + joint[j, n + i] for i, j in pairs) / n**2


def test_the_default_is_the_loss_of_the_authors_code(sample):
    features, logits = sample
    other = features.roll(1, dims=1) + 0.5, 2 * logits.roll(3, dims=0)
    arrays = [[z[0].numpy(), softmax(z[1].double().numpy(), axis=1)] for z in (sample, other)]
    value = align(of_term("jan"), (features, logits), other)
    assert float(value) == pytest.approx(authors_value(*arrays), abs=1e-5)
