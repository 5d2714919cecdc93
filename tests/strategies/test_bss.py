import torch
from small_problem import batches, falls, loss, make, output, parts

from landbridge.losses import bss
from landbridge.strategies import BSS


def test_it_adds_the_smallest_singular_values_of_the_targets_features():
    features = torch.randn(8, 6)
    target = output("target", features, y=torch.zeros(8, dtype=torch.long))
    terms = make(BSS, weight=0.5, k=2).loss(target)
    smallest = torch.linalg.svdvals(features)[-2:]
    torch.testing.assert_close(terms["shrink"], 0.5 * smallest.square().sum())
    torch.testing.assert_close(terms["shrink"], 0.5 * bss(features, 2))
    assert terms.keys() == {"classify", "shrink"}


def test_it_trains_the_backbone_alone_and_shrinks():
    strategy, data = make(BSS, weight=1.0), {"target": batches(labels=24)["target"]}
    assert parts(strategy, loss(strategy, data)["shrink"]) == {"backbone"}
    assert falls(strategy, data, "shrink")
