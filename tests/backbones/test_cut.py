"""A backbone that runs stage by stage has the same features, gradients and random numbers as a whole one."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from dusk import DuskNet
from landbridge.data.activations import Activation
from landbridge.data.formats import VectorFormat
from landbridge.models.backbones.backbone import Backbone, SequentialBackbone
from landbridge.models.backbones.small import MLP, DigitsCNN
from landbridge.models.backbones.stage_graph import CannotCut
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network

SMALL = {"pretrained_cfg_overlay": {"input_size": (3, 64, 64)}}
FAMILIES = {
    "test_resnet": SMALL | {"drop_path_rate": 0.2},
    "test_efficientnet": SMALL | {"drop_rate": 0.2},
    "test_convnext": SMALL | {"drop_path_rate": 0.2},
    "mobilenetv3_small_050": SMALL,
    "regnetx_002": SMALL,
    # These have a class token, a second token, rotary positions that depend on no input, and a mean over tokens.
    "vit_tiny_patch16_224": {"img_size": 32, "depth": 2, "drop_rate": 0.2, "pos_drop_rate": 0.2},
    "deit_tiny_distilled_patch16_224": {"img_size": 32, "depth": 2},
    "eva02_tiny_patch14_224": {"img_size": 28, "depth": 2},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "window_size": 2, "depths": (1, 1, 1, 1), "embed_dim": 24},
}


def backbone(name: str) -> Backbone:
    """Make a backbone without parameters of only zeros or ones, because these would hide missing operations."""
    torch.manual_seed(0)
    made = {"digits_cnn": DigitsCNN, "dusk_net": DuskNet, "mlp": lambda: MLP((5,), (4, 3))}.get(name)
    net = made() if made else Timm(name, options=FAMILIES[name])
    for parameter in net.parameters():
        if parameter.ndim < 2 or not parameter.any():
            nn.init.normal_(parameter, 0.5, 0.2)
    for key, buffer in net.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.5, 1)
    return net


def batch(net: Backbone) -> torch.Tensor:
    return net.format.example(3, torch.Generator().manual_seed(1))[0]


def outcome(net: Backbone, features: torch.Tensor):
    """Return features, gradients, buffers and the next random numbers."""
    features.square().sum().backward()
    gradients = {name: each.grad for name, each in net.named_parameters()}
    return features, gradients, dict(net.named_buffers()), torch.rand(3)


@pytest.mark.parametrize("name", ["digits_cnn", "dusk_net", "mlp", *FAMILIES])
def test_a_backbone_divided_at_any_depth_trains_like_the_whole(name):
    net = backbone(name)
    stages, names = len(net.stages), list(net.state_dict())
    for depth in range(1, stages + 1):
        net.train_stages(range(depth, stages))
        whole, parts = deepcopy(net), deepcopy(net)
        with torch.no_grad():
            between = parts.segment(0, depth)((batch(net),))
            step = max(depth - 1, 1)
            stepped = parts.segment(step, depth)(parts.segment(0, step)((batch(net),)))
        assert all(torch.equal(a, b) for a, b in zip(between, stepped, strict=True))
        assert all(len(tensor) == 3 for tensor in between)
        if depth == stages:
            assert torch.equal(parts.finish(Activation(depth, between)), whole(batch(net)))
            continue
        torch.manual_seed(5)
        wanted = outcome(whole, whole(batch(net)))
        torch.manual_seed(5)
        torch.testing.assert_close(outcome(parts, parts.finish(Activation(depth, between))), wanted)
        assert list(parts.state_dict()) == names
    assert any(gradient is not None for gradient in wanted[1].values())


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224"])
def test_a_divided_copy_uses_its_own_modules_and_functional_call_replaces_weights(name):
    net = Network(backbone(name), 2).eval()
    x = batch(net.backbone)
    activation = Activation(1, net.backbone.segment(0, 1)((x,)))
    net(activation)
    copy = deepcopy(net)
    for parameter, stage in copy.backbone.stage_of_parameter().items():
        if stage > 0:
            copy.backbone.get_parameter(parameter).data += 0.1
    assert torch.equal(copy(activation)[0], copy(x)[0])
    assert not torch.equal(copy(activation)[0], net(activation)[0])
    assert torch.equal(functional_call(net, dict(copy.named_parameters()), (activation,))[0], copy(x)[0])


def test_a_forward_pass_that_cannot_be_traced_is_refused_and_still_runs_as_a_whole():
    net = Timm("test_vit").eval()  # reads the size of its input, which is not known during tracing
    with pytest.raises(CannotCut, match="cannot be traced"):
        net.segment(1, len(net.stages))
    x = batch(net)
    features = net.segment(0, len(net.stages))((x,))
    assert torch.equal(net.finish(Activation(len(net.stages), features)), net(x))


def test_a_forward_pass_that_depends_on_the_mode_outside_of_stages_is_refused():
    net = Timm("test_resnet", options=SMALL)

    class Noisy(type(net.model)):
        def forward(self, x):
            x = self.layer1(self.maxpool(self.act1(self.bn1(self.conv1(x)))))
            return self.fc(self.global_pool(self.layer4(self.layer3(self.layer2(2 * x if self.training else x)))))

    net.model.__class__ = Noisy
    assert net.segment(1, 5)
    with pytest.raises(CannotCut, match="differs between training and evaluation"):
        net.segment(2, 5)
    assert all(module.training for module in net.modules())


def test_parts_without_parameters_belong_to_other_stages_and_are_run():
    torch.manual_seed(0)
    parts = {"flat": nn.Flatten(), "one": nn.Linear(4, 5), "act": nn.Tanh(), "two": nn.Linear(5, 3), "end": nn.Tanh()}
    net, x = SequentialBackbone(parts, VectorFormat(4), 3), torch.randn(2, 2, 2)
    assert net.stages == ("one", "two")
    for depth in (1, 2):
        net.train_stages(range(depth, 2))
        assert [p.requires_grad for p in net.parameters()] == [False] * 2 + [depth == 1] * 2
        assert [part.training for part in net.children()] == [False] * 3 + [depth == 1] * 2
        half = net.segment(0, depth)((x,))
        assert half[0].shape == (2, {1: 5, 2: 3}[depth])
        assert torch.equal(net.finish(Activation(depth, half)), net(x))


def test_a_backbone_without_between_runs_as_a_whole():
    class Plain(Backbone):
        format, features = VectorFormat(5), 4

        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(5, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.two(self.one(x))

        def stage_of_parameter(self):
            return {name: int(name.startswith("two")) for name, _ in self.named_parameters()}

    net = Plain()
    with pytest.raises(CannotCut, match="Plain cannot be run stage by stage"):
        net.segment(1, 2)
    x = torch.randn(2, 5)
    assert torch.equal(net.segment(0, 2)((x,))[0], net(x))
