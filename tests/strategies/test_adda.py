import pytest
import torch
from moves import descend, moves
from small_problem import batches, loss, make, parts

from landbridge.errors import LandbridgeError
from landbridge.losses import domain_loss
from landbridge.strategies import ADDA


def states(strategy):
    frozen = {"source": strategy.initial.network, "head": strategy.network.head}
    return {
        f"{name}.{key}": value.clone() for name, module in frozen.items() for key, value in module.state_dict().items()
    }


def test_the_discriminator_changes_first_and_then_only_the_encoder():
    assert moves(make(ADDA), steps=2) == 2 * [{"discriminator"}, {"backbone"}]


def test_source_model_and_head_do_not_change():
    strategy = make(ADDA)
    before = states(strategy)
    moves(strategy, steps=3, labels=6)
    after = states(strategy)
    assert all(torch.equal(after[name], value) for name, value in before.items())  # running statistics among them


def test_the_encoders_step_raises_the_discriminators_loss():
    strategy = make(ADDA)

    def discriminators():
        outputs = [strategy.encode(name, batches()[name]).features for name in ("source", "target_unlabelled")]
        return domain_loss(*(strategy.discriminator(features) for features in outputs))

    before = discriminators()
    mislead = loss(strategy, batches())["mislead"]
    assert parts(strategy, mislead) == {"backbone", "discriminator"}
    descend(strategy, mislead, "network.backbone")
    assert discriminators() > before


def test_each_domain_is_encoded_by_its_own_encoder():
    strategy = make(ADDA)
    batch = batches()["source"]
    strategy.network.backbone.requires_grad_(False)
    for parameter in strategy.network.backbone.parameters():
        parameter.zero_()
    strategy.eval()
    assert not strategy.encode("target", batch).features.any()
    assert strategy.encode("source", batch).features.any()


@pytest.mark.parametrize("frozen", [False, True])
def test_the_targets_statistics_change_unless_they_are_frozen(frozen):
    strategy = make(ADDA, freeze_statistics=frozen)
    moves(strategy)
    moved = [bool(buffer) for name, buffer in strategy.network.named_buffers() if name.endswith("num_batches_tracked")]
    assert moved == 2 * [not frozen]


def test_a_start_from_scratch_is_refused(tiny):
    with pytest.raises(LandbridgeError, match="start=source or start=checkpoint"):
        tiny("strategy=adda", "start=scratch")
