import torch
from small_problem import batches, loss, loss_of, make, of_term, output, parts

from landbridge.strategies import Supervised


def test_the_norm_of_every_feature_of_both_domains_is_increased():
    s, t = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (8, 5))
    source, target = output("source", s, y=torch.zeros(8, dtype=torch.long)), output("target_unlabelled", t)
    term = loss_of(of_term("safn", weight=0.5, step=3.0), source, target)["+safn"]
    torch.testing.assert_close(term.detach(), torch.tensor(0.5 * 2 * 3.0**2, dtype=torch.float64))
    for features, gradient in zip((s, t), torch.autograd.grad(term, (s, t)), strict=True):
        outward = features / features.norm(dim=1, keepdim=True)
        torch.testing.assert_close(gradient, -0.5 * 2 * 3.0 / len(features) * outward)


def test_zero_features_give_finite_gradients():
    zero = torch.zeros(4, 3, requires_grad=True)
    source, target = output("source", zero, y=torch.zeros(4, dtype=torch.long)), output("target_unlabelled", zero)
    term = loss_of(of_term("safn"), source, target)["+safn"]
    assert torch.isfinite(torch.autograd.grad(term, zero)[0]).all()


def test_the_loss_trains_only_the_backbone():
    strategy = of_term("safn")
    assert parts(strategy, loss(strategy, batches())["+safn"]) == {"backbone"}


def test_the_dropout_keeps_the_squared_norm_of_features_and_feeds_the_head():
    batch = batches()["source"]
    strategy = make(Supervised, feature_dropout=0.5)
    plain = strategy.eval().encode("source", batch)
    strategy.network.backbone.eval()
    torch.manual_seed(0)
    strategy.training = True
    drawn = [strategy.encode("source", batch) for _ in range(400)]
    squared = torch.stack([each.features.square() for each in drawn]).mean(0)
    assert torch.allclose(squared.sum(1), plain.features.square().sum(1), rtol=0.15)
    one = drawn[0]
    dropped = one.features == 0
    torch.testing.assert_close(one.features[~dropped], plain.features[~dropped] * 2**0.5)
    torch.testing.assert_close(one.logits, strategy.network.head(one.features))
