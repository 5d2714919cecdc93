"""Where the weights of an encoder of texts come from, and that their content is a part of the fingerprint."""

import logging
import shutil

import pytest
from omegaconf import OmegaConf

pytest.importorskip("transformers")

from dusk_text import TinyBert, write_model
from landbridge.errors import LandbridgeError
from landbridge.sweeps.identity import identity

TARGET = "landbridge.models.backbones.transformer_text.TextEncoder"


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a small encoder and its weights."""
    from safetensors.torch import save_file

    path = tmp_path / "encoder"
    path.mkdir()
    write_model(path)
    backbone = TinyBert()
    names = {name: name for name in backbone.state_dict()}
    for name in names:
        layer, dot, rest = name.partition(".")
        if layer.startswith("layer"):
            names[name] = f"encoder.layer.{int(layer.removeprefix('layer')) - 1}{dot}{rest}"
    save_file({names[name]: value for name, value in backbone.state_dict().items()}, path / "model.safetensors")
    return path


@pytest.fixture
def learn(tiny):
    """Return a function that runs a transfer of texts with the encoder of a folder."""

    def launch(folder, *overrides, run="run"):
        encoder = [f"backbone._target_={TARGET}", f"backbone.folder={folder}", "backbone.longest=12"]
        return tiny("source=murmur", "target=chatter", "data.workers=0", *encoder, *overrides, folder=run)

    return launch


def test_a_backbone_that_names_weights_starts_from_them(compose):
    def start(*overrides):
        return compose(*overrides).start._target_.rpartition(".")[2]

    for backbone in ("backbone=minilm", "backbone=efficientnet_lite0"):
        assert start(backbone) == start(backbone, "strategy=fine_tune") == "Pretrained"
        assert start(backbone, "strategy=shot") == "Source"
        assert start(backbone, "start=scratch") == "Scratch"
    assert start() == start("backbone=mlp") == start("backbone=resnet18") == "Scratch"


def test_random_weights_are_named_where_the_backbone_has_others(learn, folder, caplog):
    with caplog.at_level(logging.WARNING):
        learn(folder)
    assert f"the weights of the backbone are random, and those of {folder} are not used" in caplog.text
    caplog.clear()
    assert learn(folder, "start=pretrained", run="other").start["initialised"] == ["head.weight", "head.bias"]
    assert "are random" not in caplog.text


def test_a_folder_without_weights_is_named(learn, folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(LandbridgeError, match=r"start=pretrained: .*encoder holds no weights \(model\.safetensors or"):
        learn(folder, "start=pretrained")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_fingerprint_depends_on_the_files_of_the_folder_and_not_on_its_path(learn, folder, file, tmp_path):
    first = learn(folder, "start=pretrained", run="first")
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert learn(copy, "start=pretrained", run="second").fingerprint == first.fingerprint
    if file == "model.safetensors":
        from safetensors.torch import load_file, save_file

        save_file({name: value + 0.01 for name, value in load_file(copy / file).items()}, copy / file)
    else:
        (copy / file).write_text((copy / file).read_text() + "\n")
    with pytest.raises(LandbridgeError, match="holds the record of another run"):
        learn(copy, "start=pretrained", run="second")


def test_source_models_of_two_encoders_are_two(learn, folder, tmp_path):
    start = ["start=source", "start.before=pretrained", f"start.cache={tmp_path / 'models'}", "strategy=fine_tune"]
    more = ["target_labels=2", "start.max_epochs=1"]
    learn(folder, *start, *more, run="first")
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file({name: value * 1.5 for name, value in load_file(path).items()}, path)
    learn(folder, *start, *more, run="second")
    assert len([each for each in (tmp_path / "models").iterdir() if each.is_dir()]) == 2


def test_jobs_with_encoders_in_two_folders_differ(compose, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")

    def of(folder):
        more = [f"backbone._target_={TARGET}", f"backbone.folder={folder}", "backbone.longest=12"]
        return identity(OmegaConf.to_container(compose("experiment=tiny", *more), resolve=True))

    assert of(folder) == of(folder) != of(copy)
