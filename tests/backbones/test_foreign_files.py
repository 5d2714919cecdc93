"""Files of weights that other programs have written, and a hub that cannot be reached."""

import argparse
import re
import socket
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from landbridge.errors import LandbridgeError
from landbridge.heads import Linear
from landbridge.models import hub
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.models.start import Checkpoint, Pretrained
from landbridge.models.weight_files import read_hub

NAME = "test_resnet"


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(7)
    return timm.create_model(NAME).state_dict()


def prefixed(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


def started(path: Path) -> Network:
    network = Network(Timm(NAME), 3, Linear)
    Pretrained(str(path)).apply(network)
    return network


FORMS = {
    "plain": lambda state: state,
    "timm_training": lambda state: {
        "epoch": 3,
        "arch": NAME,
        "state_dict": state,
        "optimizer": {"state": {}, "param_groups": []},
        "args": argparse.Namespace(lr=0.1, model=NAME),
    },
    "timm_ema": lambda state: {"state_dict": {k: v + 1 for k, v in state.items()}, "state_dict_ema": state},
    "model_ema": lambda state: {"model": {k: v + 1 for k, v in state.items()}, "model_ema": state},
    "lightning": lambda state: {
        "state_dict": prefixed("model.", state) | {"criterion.weight": torch.ones(2)},
        "hyper_parameters": {"lr": 0.1},
    },
    "ddp": lambda state: prefixed("module.", state),
    "compiled": lambda state: {"model": prefixed("_orig_mod.", state)},
    "ddp_of_compiled": lambda state: {"state_dict": prefixed("model.module._orig_mod.", state)},
    "averaged": lambda state: prefixed("module.", state) | {"n_averaged": torch.tensor(4)},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_weights_in_files_of_other_programs_are_found(form, weights, tmp_path):
    torch.save(FORMS[form](weights), tmp_path / "file.pth.tar")
    own = started(tmp_path / "file.pth.tar").backbone.state_dict()
    assert all(own[f"model.{name}"].equal(value) for name, value in weights.items() if f"model.{name}" in own)


def test_prefixes_in_safetensors_are_removed_too(weights, tmp_path):
    save_file(prefixed("module.", weights), tmp_path / "file.safetensors")
    own = started(tmp_path / "file.safetensors").backbone.state_dict()
    assert own["model.conv1.0.weight"].equal(weights["conv1.0.weight"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda state: {"epoch": 3, "loss": 1.0}, r"holds no state dict; the file has the entries epoch, loss$"),
        (lambda state: [1, 2], r"holds no state dict; the file holds a list$"),
        (lambda state: {"state_dict": state, "cfg": Path("x")}, r"holds an object of pathlib\.\w+ beside the weights"),
        (
            lambda state: prefixed("encoder.", state),
            r"begins with 'encoder\.conv1\.0\.weight', the network with 'c",
        ),
        (lambda state: {"state_dict": prefixed("network.backbone.model.", state)}, r"; type start=checkpoint$"),
    ],
)
def test_messages_name_what_the_file_holds(content, says, weights, tmp_path):
    torch.save(content(weights), tmp_path / "file.pth")
    with pytest.raises(LandbridgeError, match=says):
        started(tmp_path / "file.pth")


def test_weights_of_timm_are_no_checkpoint_of_a_run(weights, tmp_path):
    path = tmp_path / "file.pth"
    torch.save(weights, path)
    says = rf"begins with 'conv1\.0\.weight'\); .* type start=pretrained start\.path={re.escape(str(path))}$"
    with pytest.raises(LandbridgeError, match=says):
        Checkpoint(str(path)).apply(Network(Timm(NAME), 3, Linear))


def test_a_hub_that_cannot_be_reached_is_named_in_a_few_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(LandbridgeError, match=r"from the hub .it cannot be reached.; connect to a network once"):
        read_hub(NAME)
    assert time.monotonic() - began < 5
    assert not constants.HF_HUB_OFFLINE


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 0.1)

    def silent(*arguments: object, **named: object) -> None:
        time.sleep(1)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    began = time.monotonic()
    assert not hub.reachable("https://example.org")
    assert time.monotonic() - began < 0.9


def test_a_server_that_answers_is_reachable(monkeypatch):
    monkeypatch.setattr(hub, "getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert hub.reachable(f"http://127.0.0.1:{server.getsockname()[1]}")
