import pytest
import torch
from hydra.utils import get_class
from small_problem import batches, gradients, loss, make, parts
from torch.nn import BatchNorm1d, Dropout, Linear, ReLU
from torch.nn.functional import cross_entropy

from landbridge.config.build import factory
from landbridge.strategies import MDD


def by_hand(strategy, data, gamma):
    """The objective by its definition, without a gradient reversal."""
    source, target = (strategy.encode(name, data[name]) for name in ("source", "target_unlabelled"))
    agree = cross_entropy(strategy.adversary(source.features), source.logits.argmax(1))
    p = strategy.adversary(target.features).softmax(1)
    contradict = torch.log(1 - p[torch.arange(len(p)), target.logits.argmax(1)]).mean()
    return gamma * agree - contradict


def test_the_encoder_has_a_tenth_of_the_reversed_gradient_and_the_adversary_the_full_gradient():
    strategy = make(MDD, progress=1.0, gamma=2.0, weight=3.0).eval()
    ours = loss(strategy, batches())["contradict"]
    expected = 3 * by_hand(strategy, batches(), 2.0)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, gradient in gradients(strategy, ours).items():
        factor = 1.0 if name.startswith("adversary") else -0.1 * 0.9999092
        torch.testing.assert_close(gradient, factor * gradients(strategy, expected)[name], rtol=1e-3, atol=1e-7)


def test_the_main_head_is_trained_only_on_labels():
    strategy = make(MDD, progress=0.5)
    terms = loss(strategy, batches(labels=6))
    assert parts(strategy, terms["contradict"]) == {"backbone", "adversary"}
    assert parts(strategy, terms["supervised"]) == {"backbone", "head"}


@pytest.mark.parametrize(
    ("strategy", "layers"),
    [
        ("mdd", [Dropout, Linear, ReLU, Dropout, Linear]),
        ("mcd", 2 * [Dropout, Linear, BatchNorm1d, ReLU] + [Dropout, Linear]),
    ],
)
def test_both_heads_are_those_of_the_authors_and_start_from_different_weights(compose, strategy, layers):
    cfg = compose(f"strategy={strategy}")
    made = make(get_class(cfg.strategy._target_), head=factory(cfg.head))
    first, second = made.network.head, made.adversary if strategy == "mdd" else made.second_head
    assert [type(each) for each in first] == [type(each) for each in second] == layers
    assert [each.p for each in first if isinstance(each, Dropout)] == [0.5] * layers.count(Dropout)
    widths = [each.out_features for each in first if isinstance(each, Linear)]
    assert widths == {"mdd": [1024, 3], "mcd": [100, 100, 3]}[strategy]
    assert not torch.equal(first[1].weight, second[1].weight)
