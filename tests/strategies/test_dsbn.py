from copy import deepcopy

import pytest
import torch
from online_stream import differences, state
from small_problem import batches, gradients, loss, make, parts
from torch import nn

from landbridge.data.formats import VectorFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.strategies import DSBN, SourceOnly
from landbridge.training.freezing import Depth

NORMS = ("network.backbone.layer1.2.", "network.backbone.layer2.2.")


def norm_parameters(names, of_source):
    return {name for name in names if name.startswith(NORMS) and (".source." in name) is of_source}


def test_each_domain_has_its_own_statistics():
    strategy, data = make(DSBN), batches()
    alone = {name: deepcopy(make(SourceOnly).network) for name in data}
    for name, network in alone.items():
        network(data[name]["x"])
        strategy.encode(name, data[name])
    for domain, network in zip((".source", ""), alone.values(), strict=True):
        for layer in ("layer1.2", "layer2.2"):
            for kind in ("running_mean", "running_var", "num_batches_tracked"):
                expected = network.get_buffer(f"backbone.{layer}.{kind}")
                assert strategy.network.get_buffer(f"backbone.{layer}{domain}.{kind}").equal(expected)
    assert not strategy._layers["backbone.layer1.2"].source.running_mean.equal(
        strategy._layers["backbone.layer1.2"].running_mean
    )


def test_in_evaluation_each_domain_is_encoded_with_its_own_layers():
    strategy, data = make(DSBN), batches()
    before = {name: strategy.eval().encode(name, data["source"]).logits for name in ("source", "target")}
    assert before["source"].equal(before["target"])  # both start alike
    with torch.no_grad():
        for layer in strategy._layers.values():
            layer.source.bias += 1
    after = {name: strategy.encode(name, data["source"]).logits for name in before}
    assert after["target"].equal(before["target"])
    assert not after["source"].isclose(before["source"]).any()


def test_a_loss_trains_only_the_layers_of_its_own_domain():
    strategy = make(DSBN, progress=0.5)
    terms = loss(strategy, batches())
    on_source = gradients(strategy, terms["supervised"])
    assert norm_parameters(on_source, of_source=True)
    assert not norm_parameters(on_source, of_source=False)
    on_both = gradients(strategy, terms["confuse"])
    assert norm_parameters(on_both, of_source=True)
    assert norm_parameters(on_both, of_source=False)
    labelled = gradients(strategy, loss(strategy, batches(labels=9))["supervised"])
    assert norm_parameters(labelled, of_source=False)


def test_auxiliary_losses_can_replace_the_adversarial_loss():
    strategy = make(DSBN, progress=0.5, weight=0.0, terms={"mcc": 1.0})
    terms = strategy.loss_terms(strategy.encode_streams(batches()))
    assert not parts(strategy, terms["confuse"])
    assert norm_parameters(gradients(strategy, terms["+mcc"]), of_source=False)


def test_l2_sp_includes_the_layers_of_both_domains():
    strategy = make(DSBN, terms={"l2_sp": 1.0})
    assert strategy.loss_terms(strategy.encode_streams(batches()))["+l2_sp"] == 0


@pytest.mark.parametrize("depth", [1, 2])
def test_frozen_stages_do_not_change_in_both_domains(depth):
    strategy = make(lambda freeze, **base: DSBN(freeze=Depth(depth), **base))
    optimizer = torch.optim.SGD(strategy.parameters(), lr=0.1)
    strategy.train()
    before = state(strategy)
    torch.stack(list(loss(strategy, batches(labels=9)).values())).sum().backward()
    optimizer.step()
    frozen = tuple(f"network.backbone.layer{stage + 1}." for stage in range(depth))
    changed = differences(before, state(strategy))
    assert not [name for name in changed if name.startswith(frozen)]
    assert bool(norm_parameters(changed, of_source=True)) is (depth == 1)


def test_the_source_layers_belong_to_the_stages_of_a_timm_model():
    options = {"pretrained_cfg_overlay": {"input_size": [3, 64, 64]}}
    network = Network(Timm("test_resnet", options=options), 3)
    stages = network.backbone.stage_of_parameter()
    strategy = make(lambda network, **base: DSBN(network=Network(Timm("test_resnet", options=options), 3), **base))
    doubled = strategy.network.backbone.stage_of_parameter()
    assert {name.replace(".source.", ".") for name in doubled} == stages.keys()
    assert all(stage == stages[name.replace(".source.", ".")] for name, stage in doubled.items())
    x = torch.randn(2, 3, 64, 64)
    one, other = (strategy.eval().network_for(name)(x)[1] for name in ("source", "target"))
    torch.testing.assert_close(one, other)


def test_an_ordinary_run_can_start_from_the_checkpoint_and_the_run_resumes(tiny, tmp_path):
    tiny("strategy=dsbn", folder="before")
    checkpoint = tmp_path / "before" / "last.ckpt"
    record = tiny("strategy=source_only", "start=checkpoint", f"start.path={checkpoint}", folder="after")
    assert record.start["initialised"] == []
    assert {name.split(".")[-2] for name in record.start["skipped"]} == {"source"}


def test_a_backbone_without_batch_norm_is_refused():
    bare = Network(SequentialBackbone({"linear": nn.Linear(5, 6)}, VectorFormat(5), 6), 3)
    with pytest.raises(LandbridgeError, match="strategy DSBN: SequentialBackbone has no BatchNorm layers"):
        make(lambda network, **base: DSBN(network=bare, **base))
