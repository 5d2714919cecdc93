import pytest
import torch
from small_problem import batches, gradients, loss, of_term
from test_every_strategy import content

from landbridge.errors import LandbridgeError


def test_the_backbone_decays_to_its_initial_weights_and_the_head_to_zero():
    strategy, data = of_term("l2_sp", weight=0.3, beta=0.2), {"target": batches(labels=9)["target"]}
    trained = {name: parameter for name, parameter in strategy.named_parameters() if parameter.requires_grad}
    start = {name: parameter.detach().clone() for name, parameter in trained.items()}
    head = sum(parameter.square().sum() for name, parameter in start.items() if "head" in name)
    torch.testing.assert_close(loss(strategy, data)["+l2_sp"].detach(), 0.1 * head)
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn_like(parameter))
    pull = gradients(strategy, loss(strategy, data)["+l2_sp"])
    assert pull.keys() == start.keys() == {f"network.{name}" for name, _ in strategy.network.named_parameters()}
    for name, gradient in pull.items():
        now = strategy.get_parameter(name).detach()
        torch.testing.assert_close(gradient, 0.3 * (now - start[name]) if "backbone" in name else 0.2 * now)


def test_the_stored_initial_weights_do_not_change_in_training(tiny, tmp_path):
    tiny(folder="source")
    start = f"start.path={tmp_path / 'source' / 'last.ckpt'}"
    tiny("strategy=l2_sp", "target_labels=2", "start=checkpoint", start, "trainer.max_epochs=2")
    kept, loaded = content(tmp_path / "run")["state_dict"], content(tmp_path / "source")["state_dict"]
    weights = [name for name in loaded if name.split(".")[-1] in ("weight", "bias") and "backbone" in name]
    assert weights
    for name in weights:
        assert kept[f"initial.{name}"].equal(loaded[name])
        assert not kept[name].equal(loaded[name])


def test_weight_decay_together_with_l2_sp_is_refused(tiny, tmp_path):
    source = ["start=source", f"start.cache={tmp_path}", "start.max_epochs=1"]
    with pytest.raises(LandbridgeError, match=r"takes the place of weight decay: set optimizer\.weight_decay=0"):
        tiny("strategy=l2_sp", "target_labels=2", *source, "optimizer=adamw", "optimizer.weight_decay=0.01")
