import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score
from torch.nn.functional import one_hot

from landbridge.selection import scores

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())
CENTRES = torch.tensor([[6.0, 0.0], [0.0, 6.0], [-5.0, -5.0]])


def given(name):
    return torch.tensor(GOLDEN["inputs"][name], dtype=torch.float64)


def near(name, sign=1):
    return pytest.approx(sign * GOLDEN["values"][name], abs=1e-10)


def test_golden():
    logits = given("logits")
    assert scores.entropy(logits) == near("entropy", -1)
    assert scores.diversity(logits) == near("diversity")
    assert scores.information_maximisation(logits) == near("information_maximisation")
    assert scores.bnm(logits) == near("bnm", -1)
    assert scores.snd(logits) == near("snd")
    assert scores.snd(logits) == near("snd_masked")
    assert scores.dev(given("dev_weights"), given("dev_losses")) == near("dev_risk", -1)
    assert scores.rankme(given("A")) == near("rankme")


@pytest.fixture
def blobs():
    """Return three well separated classes: inputs (90, 2) and labels (90,)."""
    labels = torch.arange(3).repeat(30)
    return CENTRES[labels] + torch.randn(90, 2, generator=torch.Generator().manual_seed(0)), labels


def oracle(inputs):
    """Return the logits of a correct classifier."""
    return -torch.cdist(inputs, CENTRES).square() / 20


def constant(inputs):
    """Return the logits of a model that has collapsed to class 1."""
    return torch.tensor([0.0, 30.0, 0.0]).expand(len(inputs), 3)


@pytest.mark.parametrize(
    "score",
    [
        lambda x, predict: scores.diversity(predict(x)),
        lambda x, predict: scores.information_maximisation(predict(x)),
        lambda x, predict: scores.bnm(predict(x)),
        lambda x, predict: scores.class_ami(x, predict(x)),
        lambda x, predict: scores.mixval(x, predict),
    ],
    ids=["diversity", "information_maximisation", "bnm", "class_ami", "mixval"],
)
def test_a_correct_model_scores_higher_than_a_collapsed_one(blobs, score):
    inputs, _ = blobs
    assert score(inputs, oracle) > score(inputs, constant)


def test_entropy_and_snd_are_higher_for_a_collapsed_model(blobs):
    inputs, _ = blobs
    assert scores.entropy(constant(inputs)) >= scores.entropy(oracle(inputs))
    assert scores.snd(constant(inputs)) > scores.snd(oracle(inputs))
    assert scores.snd(constant(inputs)) == pytest.approx(math.log(89), abs=1e-5)


def test_the_order_of_samples_does_not_matter(blobs):
    inputs, _ = blobs
    inputs = inputs.double()
    logits, order = inputs @ CENTRES.T.double() / 9, torch.randperm(90, generator=torch.Generator().manual_seed(1))
    for score in (scores.entropy, scores.diversity, scores.information_maximisation, scores.bnm, scores.snd):
        assert score(logits[order]) == pytest.approx(score(logits), abs=1e-12)
    assert scores.rankme(inputs[order]) == pytest.approx(scores.rankme(inputs), abs=1e-12)
    assert scores.class_ami(inputs[order], logits[order]) == pytest.approx(scores.class_ami(inputs, logits), abs=1e-12)
    weights, losses = inputs[:, 0].exp(), inputs[:, 1].abs()
    assert scores.dev(weights[order], losses[order]) == pytest.approx(scores.dev(weights, losses), rel=1e-9)


def test_information_maximisation_spans_0_to_log_k():
    assert scores.information_maximisation(1000 * torch.eye(4)) == pytest.approx(math.log(4))
    assert scores.information_maximisation(torch.zeros(5, 4)) == pytest.approx(0, abs=1e-6)


def test_bnm_closed_forms():
    assert scores.bnm(1000 * torch.eye(3).repeat(4, 1)) == pytest.approx(math.sqrt(3 / 12))
    assert scores.bnm(torch.zeros(12, 3)) == pytest.approx(1 / math.sqrt(36))


def test_snd_does_not_depend_on_the_chunk_size(blobs):
    logits = oracle(blobs[0]).double() / 10
    assert scores.snd(logits, chunk=7) == pytest.approx(scores.snd(logits), abs=1e-12)
    with pytest.raises(ValueError, match="at least two rows, got 1"):
        scores.snd(logits[:1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_dev_with_equal_weights_is_the_weighted_mean_loss(dtype, weight):
    losses = torch.rand(100, generator=torch.Generator().manual_seed(0), dtype=dtype)
    value = scores.dev(torch.full((100,), weight, dtype=dtype), losses)
    assert value == pytest.approx(-weight * losses.double().mean().item(), rel=1e-6)


def test_dev_formula_and_its_control_variate():
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(300):
        w = torch.empty(50).exponential_(generator=generator)
        loss = 1 + 0.1 * torch.rand(50, generator=generator)
        wl, weights = (w * loss).double().numpy(), w.double().numpy()
        eta = -np.cov(wl, weights)[0, 1] / weights.var(ddof=1)
        assert scores.dev(w, loss) == pytest.approx(-(wl.mean() + eta * weights.mean() - eta), abs=1e-6)
        draws.append((-scores.dev(w, loss), wl.mean()))
    risk, plain = np.array(draws).T
    assert risk.mean() == pytest.approx(1.05, abs=0.01)
    assert risk.std() < plain.std() / 5
    with pytest.raises(ValueError, match="at least two held-out source samples, got 1"):
        scores.dev(torch.ones(1), torch.ones(1))


def test_rankme_is_the_rank_of_an_orthonormal_batch():
    basis = torch.linalg.qr(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).double()).Q
    assert scores.rankme(basis) == pytest.approx(5)
    assert scores.rankme(basis[:, :3] @ basis[:5, :3].T) < 3.001
    assert scores.rankme(torch.zeros(8, 5)) == 1
    assert scores.rankme(basis.bfloat16()) == pytest.approx(5, rel=1e-2)


def test_class_ami_against_sklearn(blobs):
    inputs, labels = blobs
    noisy = labels.clone()
    noisy[::4] = (labels[::4] + 1) % 3
    clusters = KMeans(3, n_init=10, random_state=5).fit_predict(inputs.numpy())
    expected = adjusted_mutual_info_score(noisy.numpy(), clusters)
    assert scores.class_ami(inputs, one_hot(noisy, 3).float(), seed=5) == pytest.approx(expected)
    assert scores.class_ami(inputs, one_hot(labels, 3).float()) == pytest.approx(1)


def test_class_ami_is_deterministic_given_its_seed():
    features, logits = torch.randn(2, 40, 8, generator=torch.Generator().manual_seed(0))
    by_seed = [scores.class_ami(features, logits, seed) for seed in range(5)]
    assert len(set(by_seed)) > 1
    assert by_seed == [scores.class_ami(features, logits, seed) for seed in range(5)]


def test_class_ami_of_collapsed_features_is_0_without_warnings(blobs):
    inputs, labels = blobs
    collapsed = torch.ones_like(inputs)
    assert scores.class_ami(collapsed, constant(inputs)) == 0
    assert scores.class_ami(collapsed, one_hot(labels, 3).float()) == pytest.approx(0, abs=1e-12)


def test_mixval_is_higher_for_wide_margins_and_is_deterministic(blobs):
    inputs, _ = blobs
    right = scores.mixval(inputs, oracle)
    assert right == scores.mixval(inputs, oracle, seed=0)
    assert right > scores.mixval(inputs, lambda x: one_hot((3 * x.sum(1)).long() % 3, 3)) + 0.3


def test_mixval_pairs_inside_and_across_predicted_classes():
    inputs = torch.eye(6, dtype=torch.float64)
    classes = torch.tensor([0, 0, 0, 1, 1, 2])
    mixtures = []

    def predict(x):
        mixtures.append(x)
        return one_hot(classes[x.argmax(1)], 3)

    assert scores.mixval(inputs, predict) == 1
    _, intra, inter = mixtures
    for mixed in (intra, inter):
        torch.testing.assert_close(
            mixed.sort(dim=1).values[:, -2:], torch.tensor([[0.45, 0.55]]).double().expand(len(mixed), 2)
        )
    first, second = (mixed.topk(2).indices for mixed in (intra, inter))
    assert sorted(first[:, 0].tolist()) == [0, 1, 2, 3, 4]
    assert torch.equal(classes[first[:, 0]], classes[first[:, 1]])
    assert sorted(second[:, 0].tolist()) == [0, 1, 2, 3, 4, 5]
    assert (classes[second[:, 0]] != classes[second[:, 1]]).all()


def test_mixval_can_draw_every_partner():
    inputs = torch.eye(5, dtype=torch.float64)
    classes = torch.tensor([0, 0, 0, 1, 1])
    seen = set()

    def predict(x):
        seen.update(map(tuple, x.topk(2).indices.tolist()) if x.sum() != len(x) or len(x.unique()) > 2 else ())
        return one_hot(classes[x.argmax(1)], 2)

    for seed in range(100):
        scores.mixval(inputs, predict, seed=seed)
    assert seen == {(i, j) for i in range(5) for j in range(5) if i != j}


def test_mixval_is_0_without_one_kind_of_pair():
    inputs = torch.eye(4)
    assert scores.mixval(inputs, lambda x: constant(x)) == 0
    assert scores.mixval(inputs, lambda x: x) == 0
