"""Parameter-efficient tuning: the start is unchanged, few parameters train, and any run can continue."""

import sys

import pytest
import torch
from torch import nn

from dusk import DuskNet
from landbridge.activation_cache.prefix import prefix_keys
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import SequentialBackbone
from landbridge.models.backbones.small import GREY_28
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.models.tuning import Adapters, BitFit, LoRA, merge_lora
from landbridge.run.epochs import Epochs

TUNINGS = {"lora": LoRA, "adapters": Adapters, "bitfit": BitFit}
ADDED = {"lora": ".lora_", "adapters": ".adapter."}


def network(backbone=None, seed=0):
    torch.manual_seed(seed)
    return Network(backbone or DuskNet(), 3).eval()


def images(n=8, size=28, channels=1):
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(1))


def shake(net, part):
    """Set the added parameters to random values."""
    generator = torch.Generator().manual_seed(2)
    for name, parameter in net.named_parameters():
        if part in name:
            parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def state(folder, name="last.ckpt"):
    return torch.load(folder / name, weights_only=True)["state_dict"]


@pytest.mark.parametrize("tuning", TUNINGS)
def test_outputs_are_unchanged_at_the_start(tuning):
    net = network()
    before, stages = net(images()), DuskNet().stages
    TUNINGS[tuning]().apply(net.backbone)
    for after, output in zip(net.eval()(images()), before, strict=True):
        torch.testing.assert_close(after, output, rtol=0, atol=0)
    assert net.backbone.stages == stages


@pytest.mark.parametrize("rank", [1, 3])
def test_lora_trains_two_matrices_per_layer_and_only_b_has_a_gradient_at_first(rank):
    net = network()
    LoRA(rank=rank).apply(net.backbone)
    net.backbone.train_stages({0, 1})
    trainable = {name: p for name, p in net.backbone.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in trainable.values()) == rank * (25 + 4) + rank * (4 * 36 + 8)
    net(images())[1].square().sum().backward()
    for name, parameter in trainable.items():
        assert bool(parameter.grad.any()) == ("lora_B" in name)


@pytest.mark.parametrize("alpha", [1.0, 16.0])
def test_merged_and_unmerged_logits_are_equal(alpha):
    net, plain = network(), network()
    LoRA(rank=2, alpha=alpha).apply(net.backbone)
    shake(net, ".lora_")
    merged = merge_lora(net.state_dict())
    plain.load_state_dict(merged)
    assert merge_lora(merged).keys() == merged.keys()
    assert all(merge_lora(merged)[name].equal(merged[name]) for name in merged)
    expected = net.eval()(images())[1]
    assert not torch.allclose(network()(images())[1], expected, atol=1e-2)
    torch.testing.assert_close(plain.eval()(images())[1], expected, atol=1e-5, rtol=1e-5)

    for module in net.modules():
        if hasattr(module, "merge"):
            module.merge()  # peft's own
    torch.testing.assert_close(net(images())[1], expected, atol=1e-5, rtol=1e-5)
    for name, value in net.state_dict().items():
        if ".base_layer." in name:
            torch.testing.assert_close(value, merged[name.replace(".base_layer.", ".")], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vit_tiny_patch16_224", "convnext_atto", "resnet10t"])
def test_timm_models_keep_their_stages_and_lora_omits_grouped_convolutions(name):
    size = {"img_size": 32} if name.startswith("vit") else {}
    backbone = Timm(name, options=size)
    net = network(backbone).double()  # deep random networks amplify rounding errors
    stages = Timm(name, options=size).stages
    LoRA(rank=2).apply(backbone)
    assert backbone.stages == stages
    assert not any(".conv_dw.lora_" in name or ".dwconv.lora_" in name for name, _ in backbone.named_parameters())
    shake(net, ".lora_")
    plain = network(Timm(name, options=size)).double()
    plain.load_state_dict(merge_lora(net.state_dict()))
    x = images(2, 32, 3).double()
    torch.testing.assert_close(plain.eval()(x)[1], net.eval()(x)[1], atol=1e-6, rtol=1e-6)


def test_adapters_follow_the_last_layers_of_the_branches_of_a_transformer():
    backbone = Timm("vit_tiny_patch16_224", options={"img_size": 32})
    Adapters(width=4).apply(backbone)
    backbone.train_stages(range(len(backbone.stages)))
    trains = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert {name.split(".adapter.")[0].split(".", 3)[3] for name in trains} == {"attn.proj", "mlp.fc2"}
    assert len(trains) == 12 * 2 * 4


@pytest.mark.parametrize("tuning", ["lora", "adapters", "bitfit"])
def test_only_tuned_parameters_change_in_the_stages_that_train(tuning, tiny, tmp_path):
    start = network(seed=3)
    weights = {f"network.{name}": value for name, value in start.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "start.ckpt")
    begin = ["start=checkpoint", f"start.path={tmp_path / 'start.ckpt'}", "trainer.max_epochs=2", "optimizer.lr=0.01"]
    record = tiny("strategy=dann", f"tuning={tuning}", "freeze.depth=1", *begin)
    after = state(tmp_path / "run")
    after = {name.replace(".base_layer.", "."): value for name, value in after.items()}
    moved = {name for name, value in weights.items() if not value.equal(after[name])}
    biases = {"network.backbone.bottleneck.2.bias"} if tuning == "bitfit" else set()
    assert moved == {"network.head.weight", "network.head.bias"} | biases
    trained = 3 * 8 + 3 + sum(p.numel() for n, p in after.items() if n.startswith("discriminator."))
    added = [name for name in after if f".bottleneck.1{ADDED.get(tuning)}" in name]
    own = sum(after[name].numel() for name in added if not name.endswith("lora_scale")) + 8 * len(biases)
    assert record.cost["trainable_parameters"] == trained + own
    ups = [name for name in added if ".lora_B" in name or ".up." in name]
    assert all(bool(after[name].any()) for name in ups)  # these start at 0


@pytest.mark.parametrize("tuning", ["lora", "adapters"])
def test_frozen_stages_get_no_additional_parameters(tuning, tiny, tmp_path):
    plain, net = network(), network()
    TUNINGS[tuning]().apply(net.backbone, stages={1})
    added = [name for name, _ in net.named_parameters() if ADDED[tuning] in name]
    assert added
    assert all(name.startswith("backbone.bottleneck.") for name in added)
    assert prefix_keys(net.backbone, {}, 1) == prefix_keys(plain.backbone, {}, 1)
    # If no stage trains, nothing is added.
    TUNINGS[tuning]().apply(plain.backbone, stages=())
    assert plain.state_dict().keys() == network().state_dict().keys()
    plain.backbone.train_stages({0, 1})
    assert not any(p.requires_grad for p in plain.backbone.parameters())

    # All runs share cached activations: with any seed, and with or without tuning.
    torch.save({"state_dict": {f"network.{n}": v for n, v in plain.state_dict().items()}}, tmp_path / "start.ckpt")
    begin = ["start=checkpoint", f"start.path={tmp_path / 'start.ckpt'}", "freeze.depth=1", "data.steps_per_epoch=3"]
    store = ["cache=activations", f"cache.path={tmp_path / 'store'}"]
    for number, setting in enumerate((["tuning=full"], [f"tuning={tuning}"], [f"tuning={tuning}", "seed=1"])):
        cost = tiny(*begin, *store, *setting, folder=str(number)).cost["cache"]
        assert (cost["computed"] == 0) == (number > 0)
        assert cost["depth"] == 1


@pytest.mark.parametrize("tuning", ["lora", "adapters"])
def test_a_run_can_continue_from_a_tuned_checkpoint(tuning, tiny, tmp_path):
    tuned = tiny(f"tuning={tuning}", "trainer.max_epochs=4", "optimizer.lr=0.03", folder="tuned")
    again = tiny("strategy=as_is", "start=checkpoint", f"start.path={tmp_path / 'tuned' / 'last.ckpt'}", folder="again")
    assert again.results["target"]["nll"] == pytest.approx(tuned.results["target"]["nll"], rel=1e-4)
    assert again.start["skipped"] == again.start["initialised"] == []
    further = tiny(
        *("start=checkpoint", f"start.path={tmp_path / 'tuned' / 'last.ckpt'}", f"tuning={tuning}"), folder="further"
    )
    assert further.cost["parameters"] == tuned.cost["parameters"]


def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path):
    overrides = ["tuning=lora", "trainer.max_epochs=3"]
    straight = tiny(*overrides, folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 2:
            raise RuntimeError("interrupted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="interrupted"):
            tiny(*overrides, folder="resumed")
    assert tiny(*overrides, folder="resumed").results == straight.results
    one, other = state(tmp_path / "straight"), state(tmp_path / "resumed")
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


class Reader(nn.Module):
    """Reads a layer's weight without calling the layer, as some attention blocks of timm do."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(784, 8)

    def forward(self, x):
        return nn.functional.linear(x.flatten(1), self.qkv.weight)


@pytest.mark.parametrize(
    ("parts", "targets", "message"),
    [
        (
            {"a": nn.Conv2d(1, 4, 3), "b": nn.Conv2d(4, 4, 3, groups=4)},
            ["b"],
            "added to b: it is a convolution of 4 groups, whose change could not be merged; leave 'b' out",
        ),
        ({"a": nn.Conv2d(1, 4, 3)}, ["aa"], "no layer's name ends with 'aa'; nearest: a"),
        ({"a": nn.BatchNorm2d(1)}, ["a"], "added to a: BatchNorm2d is not one of Conv1d, Conv2d, Linear"),
        ({"a": nn.BatchNorm2d(1)}, None, "SequentialBackbone has no layer that LoRA can be added to"),
        ({"a": Reader()}, ["qkv"], "the backbone does not call it"),
    ],
)
def test_layers_that_cannot_be_tuned_are_refused(parts, targets, message):
    with pytest.raises(LandbridgeError, match=message):
        LoRA(targets=targets).apply(SequentialBackbone(parts, GREY_28, 8))


def test_layers_that_the_backbone_does_not_call_are_omitted():
    backbone = SequentialBackbone({"a": Reader(), "b": nn.Linear(8, 8)}, GREY_28, 8)
    LoRA(rank=1).apply(backbone)
    assert {name.split(".")[0] for name, _ in backbone.named_parameters() if ".lora_" in name} == {"b"}


def test_bitfit_refuses_a_backbone_without_biases():
    with pytest.raises(LandbridgeError, match="tuning=bitfit: SequentialBackbone has no biases"):
        BitFit().apply(SequentialBackbone({"a": nn.Linear(4, 4, bias=False)}, None, 4))


def test_the_error_without_peft_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(LandbridgeError, match=r"pip install 'landbridge\[peft\]'"):
        LoRA().apply(DuskNet())


def test_adapters_of_another_backbone_are_refused(tiny, tmp_path):
    weights = {"network.backbone.elsewhere.adapter.down.weight": torch.zeros(2, 2)}
    torch.save({"state_dict": weights}, tmp_path / "start.ckpt")
    with pytest.raises(LandbridgeError, match=r"no layer for backbone\.elsewhere\.adapter.* of the checkpoint"):
        tiny("start=checkpoint", f"start.path={tmp_path / 'start.ckpt'}")
