import numpy as np
import pytest
import torch
from small_problem import batches, falls, loss, loss_of, of_term, output, parts
from torch.nn.functional import cross_entropy

from landbridge.errors import LandbridgeError


def kernel(x, y, scale):
    """The sum of five Gaussians, computed separately for each pair of samples."""
    return sum(np.exp(-((x - y) ** 2).sum() / (2 * factor * scale)) for factor in (0.125, 0.25, 0.5, 1, 2))


def discrepancy(s, t, estimator):
    pooled = np.concatenate([s, t])
    scale = np.mean([((a - b) ** 2).sum() for a in pooled for b in pooled])
    if estimator == "linear":
        signed = [(s[::2], s[1::2], 1), (t[::2], t[1::2], 1), (s[::2], t[1::2], -1), (s[1::2], t[::2], -1)]
        return sum(sign * np.mean([kernel(a, b, scale) for a, b in zip(x, y, strict=True)]) for x, y, sign in signed)
    skipped = estimator == "unbiased"
    within = [
        np.mean([kernel(a, b, scale) for i, a in enumerate(z) for j, b in enumerate(z) if not (skipped and i == j)])
        for z in (s, t)
    ]
    return sum(within) - 2 * np.mean([kernel(a, b, scale) for a in s for b in t])


@pytest.mark.parametrize("estimator", ["biased", "unbiased", "linear"])
def test_the_features_discrepancy_is_added_with_its_weight(estimator):
    rng = np.random.default_rng(0)
    s, t = rng.normal(size=(8, 4)), rng.normal(0.5, size=(8, 4))
    strategy = of_term("dan", weight=3.0, estimator=estimator)
    y = torch.arange(8) % 3
    terms = loss_of(strategy, output("source", torch.tensor(s), y=y), output("target_unlabelled", torch.tensor(t)))
    assert float(terms["+mmd"]) == pytest.approx(3 * discrepancy(s, t, estimator), abs=1e-12)
    assert float(terms["supervised"]) == pytest.approx(np.log(3))


def test_alignment_trains_only_the_backbone_and_reduces_the_distance():
    strategy = of_term("dan")
    terms = loss(strategy, batches())
    assert parts(strategy, terms["supervised"]) == {"backbone", "head"}
    assert parts(strategy, terms["+mmd"]) == {"backbone"}
    assert falls(strategy, batches(), "+mmd")


def test_visible_target_labels_are_part_of_the_cross_entropy():
    strategy = of_term("dan")
    data = batches(labels=9)
    outputs = {name: strategy.encode(name, batch) for name, batch in data.items()}
    supervised = loss_of(strategy, *outputs.values())["supervised"]
    expected = sum(cross_entropy(outputs[name].logits, data[name]["y"]) for name in ("source", "target"))
    torch.testing.assert_close(supervised, expected)


def test_batches_that_an_estimator_cannot_compare_are_refused():
    with pytest.raises(
        LandbridgeError, match=r"terms: mmd with estimator=linear .* source has 24 .* 10: set data.batch"
    ):
        loss(of_term("dan", estimator="linear"), batches(24, 10))
    one = output("target_unlabelled", torch.ones(1, 4))
    source = output("source", torch.rand(8, 4), y=torch.zeros(8, dtype=torch.long))
    with pytest.raises(LandbridgeError, match=r"mmd with estimator=unbiased .* at least 2 .* target_unlabelled have 1"):
        loss_of(of_term("dan"), source, one)
    assert loss_of(of_term("dan", estimator="biased"), source, one)["+mmd"] > 0
