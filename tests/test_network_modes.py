"""A frozen stage does not change: it has no gradient, no step, no BatchNorm update and no dropout."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from landbridge.models.backbones.backbone import Backbone
from landbridge.models.backbones.small import MLP, DigitsCNN
from landbridge.models.backbones.timm_models import Timm
from landbridge.strategies import TargetOnly

SMALL = {"pretrained_cfg_overlay": {"input_size": [3, 64, 64]}}
DROPS = {"drop_rate": 0.3, "drop_path_rate": 0.3}
SWIN = {"img_size": 64, "embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
BACKBONES = {
    "digits_cnn": DigitsCNN,
    "mlp": MLP,
    "resnet": lambda: Timm("test_resnet", options=SMALL | DROPS),
    "vit": lambda: Timm("test_vit", options={"img_size": 64, "pos_drop_rate": 0.3, "attn_drop_rate": 0.3} | DROPS),
    "efficientnet": lambda: Timm("test_efficientnet", options=SMALL | DROPS),
    "convnext": lambda: Timm("test_convnext", options=SMALL | DROPS),
    "swin": lambda: Timm("swin_tiny_patch4_window7_224", options=SWIN | DROPS),
    "regnet": lambda: Timm("regnetx_002", options=SMALL | DROPS),
    "mobilenet": lambda: Timm("mobilenetv3_small_050", options=SMALL | DROPS),
}


@pytest.fixture(params=BACKBONES)
def backbone(request) -> Backbone:
    torch.manual_seed(0)
    return BACKBONES[request.param]()


def images(backbone: Backbone) -> Tensor:
    assert backbone.format
    return torch.randn(4, backbone.format.channels, *backbone.format.size)


def stage_of_tensors(backbone: Backbone) -> dict[str, int]:
    """Map parameters and buffers to stages; a buffer has the stage of the parameters of its layer."""
    stage_of = dict(backbone.stage_of_parameter())
    for name, _ in backbone.named_buffers():
        beside = [stage for other, stage in stage_of.items() if other.rpartition(".")[0] == name.rpartition(".")[0]]
        if beside:
            stage_of[name] = beside[0]
    return stage_of


def test_stages_below_every_depth_are_frozen_and_the_others_train(backbone):
    stage_of = stage_of_tensors(backbone)
    for depth in range(len(backbone.stages) + 1):
        for parameter in backbone.parameters():  # an old gradient would still change a frozen parameter
            parameter.grad = torch.ones_like(parameter)
        backbone.train()
        backbone.train_stages(range(depth, len(backbone.stages)))
        frozen = [p for name, p in backbone.named_parameters() if stage_of[name] < depth]
        assert all(p.grad is None and not p.requires_grad for p in frozen)
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=False)
            features = backbone(images(backbone))
            if features.requires_grad:
                features.square().sum().backward()
            optimizer.step()
        assert all(p.grad is None for p in frozen)
        moved = {stage_of[name] for name, v in backbone.state_dict().items() if not v.equal(before[name])}
        assert moved == set(range(depth, len(backbone.stages))), depth
        backbone.load_state_dict(before)


def test_outputs_of_a_frozen_stage_do_not_depend_on_the_other_samples(backbone):
    mates = [images(backbone), images(backbone)]
    mates[1][0] = mates[0][0]
    root = getattr(backbone, "model", backbone)
    for depth, stage in enumerate(backbone.stages, start=1):
        backbone.train()
        backbone.train_stages(range(depth, len(backbone.stages)))
        last = root.get_submodule(stage.split("+")[-1])
        outputs: list[Tensor] = []
        handle = last.register_forward_hook(lambda *call, seen=outputs: seen.append(call[-1][0].detach()))
        with torch.no_grad():
            for batch in mates:
                backbone(batch)
        handle.remove()
        torch.testing.assert_close(*outputs, rtol=0, atol=1e-5, msg=f"depth {depth}: {stage}")


def test_a_completely_frozen_backbone_is_equal_in_training_and_evaluation(backbone):
    x = images(backbone)
    backbone.train()
    backbone.train_stages([])
    assert not any(module.training for module in backbone.modules())
    features = backbone(x)
    assert torch.equal(features, backbone.eval()(x))


def test_modules_without_parameters_have_the_stage_of_the_module_before():
    vit = BACKBONES["vit"]()
    vit.train()
    vit.train_stages(range(3, len(vit.stages)))
    mode = {name: module.training for name, module in vit.model.named_modules()}
    kinds = {name: type(module).__name__ for name, module in vit.model.named_modules()}
    drops = [name for name, kind in kinds.items() if kind in ("Dropout", "DropPath")]
    frozen = [name for name in drops if name.startswith(("pos_drop", "blocks.0.", "blocks.1."))]
    assert len(frozen) > 4
    assert len(drops) > len(frozen)
    assert {name for name in drops if not mode[name]} == set(frozen)


def test_an_unfrozen_stage_trains_again():
    net = DigitsCNN()
    net.train_stages([])
    net.train()
    net.train_stages(range(4))
    assert all(p.requires_grad for p in net.parameters())
    assert all(module.training for module in net.modules())


class Watched(TargetOnly):
    """Records modes, gradients and optimized parameters during training."""

    last: ClassVar["Watched"]

    def on_fit_start(self) -> None:
        Watched.last = self
        self.before = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.modes: list[dict[str, bool]] = []
        self.gradients: list[set[str]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.modes.append({name: module.training for name, module in self.network.named_modules()})
        return super().training_step(batch, batch_idx)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.gradients.append({name for name, p in self.network.named_parameters() if p.grad is not None})
        self.optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize(
    ("depth", "frozen"), [(0, ()), (1, ("backbone.conv",)), (2, ("backbone",)), ("all", ("backbone",))]
)
def test_training_with_validation_does_not_change_frozen_stages(depth, frozen, tiny):
    record = tiny(
        "strategy=target_only",
        "strategy._target_=test_network_modes.Watched",
        "target_labels=all",
        f"freeze.depth={depth}",
        "trainer.max_epochs=2",
        "optimizer=sgd",
        "optimizer.weight_decay=0.1",
    )
    watched = Watched.last
    parameters = dict(watched.network.named_parameters())
    training = {name for name in parameters if not name.startswith(frozen)}
    assert watched.gradients == [training] * 4
    assert watched.optimized == {id(parameters[name]) for name in training}
    state = watched.network.state_dict()
    assert {name for name in state if state[name].equal(watched.before[name])} == {
        name for name in state if name.startswith(frozen)
    }
    assert len(watched.modes) == 4
    for modes in watched.modes:
        assert {name for name, mode in modes.items() if not mode} == {name for name in modes if name.startswith(frozen)}
    assert record.cost["trainable_parameters"] == sum(parameters[name].numel() for name in training)
    assert record.cost["parameters"] == sum(p.numel() for p in parameters.values())
