import torch
from small_problem import batches, falls, loss, loss_of, of_term, output, parts

from landbridge.losses import bss


def test_it_adds_the_smallest_singular_values_of_the_targets_features():
    features = torch.randn(8, 6)
    target = output("target", features, y=torch.zeros(8, dtype=torch.long))
    terms = loss_of(of_term("bss", weight=0.5, k=2), target)
    smallest = torch.linalg.svdvals(features)[-2:]
    torch.testing.assert_close(terms["+bss"], 0.5 * smallest.square().sum())
    torch.testing.assert_close(terms["+bss"], 0.5 * bss(features, 2))
    assert terms.keys() == {"supervised", "+bss"}


def test_the_loss_trains_only_the_backbone_and_falls():
    strategy, data = of_term("bss", weight=1.0), {"target": batches(labels=24)["target"]}
    assert parts(strategy, loss(strategy, data)["+bss"]) == {"backbone"}
    assert falls(strategy, data, "+bss")
