import pytest
import torch
from moves import descend
from small_problem import batches, loss, make, parts

from landbridge.losses import entropy
from landbridge.strategies import MME


def target_entropy(strategy):
    return entropy(strategy.encode("target_unlabelled", batches()["target_unlabelled"]).logits)


@pytest.mark.parametrize(("part", "falls"), [("network.backbone", True), ("network.head", False)])
def test_the_encoder_lowers_the_targets_entropy_and_the_head_raises_it(part, falls):
    strategy = make(MME)
    before = target_entropy(strategy)
    descend(strategy, loss(strategy, batches())["entropy"], part)
    assert bool(target_entropy(strategy) < before) is falls


def test_the_entropy_is_multiplied_by_its_weight():
    strategy = make(MME, weight=0.3)
    terms = loss(strategy.eval(), batches())
    torch.testing.assert_close(terms["entropy"], -0.3 * target_entropy(strategy))
    assert parts(strategy, terms["entropy"]) == {"backbone", "head"}


def test_the_head_normalises_features_and_starts_from_the_given_weights():
    strategy = make(MME, temperature=0.1)
    head = strategy.network.head
    features = torch.randn(4, 6)
    torch.testing.assert_close(head(5 * features), head(features))
    cosine = torch.cosine_similarity(features[:, None], head.weight[None], dim=2) * head.weight.norm(dim=1)
    torch.testing.assert_close(head(features), 10 * cosine)
    assert head.bias is None
