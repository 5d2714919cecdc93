"""timm models as backbones: stages, input format and features are those of timm."""

import pytest
import timm
import torch
from timm.data import resolve_data_config
from timm.models import group_parameters

from landbridge.models.backbones.timm_models import Timm

STAGES = {
    "test_resnet": "conv1+bn1, layer1, layer2, layer3, layer4",
    "test_efficientnet": "conv_stem+bn1, blocks.0, blocks.1, blocks.2, blocks.3, blocks.4+conv_head+bn2",
    "test_convnext": "stem, stages.0, stages.1, stages.2, stages.3, head",
    "test_vit": "cls_token+pos_embed+patch_embed, blocks.0, blocks.1, blocks.2, blocks.3, blocks.4, blocks.5+norm",
    "regnetx_002": "stem, s1, s2, s3, s4",
    "mobilenetv3_small_050": "conv_stem+bn1, " + ", ".join(f"blocks.{number}" for number in range(6)) + ", conv_head",
    "densenet121": "conv0+norm0, denseblock1+transition1, denseblock2+transition2, denseblock3+transition3, "
    "denseblock4, norm5",
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_the_groups_of_timm_in_order_from_the_input(name):
    backbone = Timm(name)
    assert ", ".join(backbone.stages) == STAGES[name]
    model = timm.create_model(name, num_classes=0)
    groups = group_parameters(model, model.group_matcher(coarse=True))
    members: dict[int, set[str]] = {}
    for parameter, stage in backbone.stage_of_parameter().items():
        members.setdefault(stage, set()).add(parameter.removeprefix("model."))
    assert members == {number: set(names) for number, names in groups.items()}
    assert list(backbone.stage_of_parameter()) == [parameter for parameter, _ in backbone.named_parameters()]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv3_small_050"])
def test_the_input_format_is_that_of_the_trained_model(name):
    backbone = Timm(name)
    config = resolve_data_config(model=timm.create_model(name))
    wanted = backbone.format
    assert (wanted.channels, *wanted.size) == config["input_size"]
    assert (wanted.mean, wanted.std) == (config["mean"], config["std"])
    assert (wanted.interpolation, wanted.crop) == (config["interpolation"], config["crop_pct"])
    assert backbone.eval()(torch.zeros(2, 3, *wanted.size)).shape == (2, backbone.features)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_model_for_another_image_size_gets_images_of_that_size(name):
    depth = {"depth": 1} if name.startswith("vit") else {"depths": [1, 1, 1, 1]}
    backbone = Timm(name, options={"img_size": 96, **depth})
    assert backbone.format.size == (96, 96)
    assert backbone.eval()(torch.zeros(1, 3, 96, 96)).shape == (1, backbone.features)


def test_options_reach_the_model():
    assert Timm("test_resnet", options={"drop_rate": 0.25}).model.drop_rate == 0.25


def test_a_new_backbone_is_in_training_mode():
    assert all(module.training for module in Timm("test_vit").modules())


def test_grey_images_fill_all_channels_of_an_rgb_network():
    backbone = Timm("test_resnet")
    grey = torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8)
    x = backbone.format.normalised(grey)
    assert x.shape == (2, 3, 160, 160)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.format.mean, backbone.format.std))
    shares = x * std + mean
    torch.testing.assert_close(shares[:, :1].expand_as(shares), shares)
    assert shares.min() >= -1e-6
    assert shares.max() <= 1 + 1e-6
    assert torch.equal(x, backbone.format.normalised(grey.expand(-1, 3, -1, -1)))


def test_an_rgb_network_trains_on_grey_digits(tiny):
    small = "backbone.options={pretrained_cfg_overlay: {input_size: [3, 32, 32]}}"
    record = tiny("backbone=test_resnet", small, "strategy=source_only", "freeze.depth=4", "data.batch_size=4")
    assert record.status == "done"
    layer4 = sum(p.numel() for p in timm.create_model("test_resnet").layer4.parameters())
    assert record.cost["trainable_parameters"] == layer4 + 96 * 3 + 3
