import pytest
from small_problem import batches, loss, of_term

from landbridge.errors import LandbridgeError


def test_a_batch_of_one_sample_is_refused():
    with pytest.raises(LandbridgeError, match=r"a batch of one sample \(target_unlabelled\) has no statistics"):
        loss(of_term("safn"), batches(24, 1))


def test_other_errors_are_raised_unchanged():
    strategy = of_term("safn")
    strategy.network.backbone.register_forward_hook(refuse)
    with pytest.raises(ValueError, match="a fault in the network"):
        loss(strategy, batches())


def refuse(*arguments):
    raise ValueError("a fault in the network")
