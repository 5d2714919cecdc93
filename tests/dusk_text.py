"""Two small domains of made sentences, and a small encoder for them with a tokenizer of its own."""

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from landbridge.data.domain import Domain, domain_from_positions
from landbridge.data.text_inputs import TextInputs
from landbridge.models.backbones.transformer_text import TextEncoder

CLASSES = ("bad", "good")
WORDS = {
    "bad": ("awful", "broken", "dull", "poor", "sad", "weak"),
    "good": ("bright", "fine", "great", "happy", "strong", "superb"),
}
THINGS = {"chatter": ("book", "story", "plot", "page"), "murmur": ("lamp", "phone", "cable", "screen")}
FILL = ("a", "it", "really", "the", "this", "very", "was", "with")


def chatter(name: str, n: int = 60, seed: int = 0) -> Domain:
    """Make sentences of 4 to 16 words about books or devices, each with one or two words of its class.

    Classes alternate. The splits hold 60 % (train), 20 % (val) and 20 % (test) of the samples.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    texts = []
    for label in np.arange(n) % 2:
        words = [*rng.choice(FILL, rng.integers(2, 14)), rng.choice(THINGS[name]), rng.choice(WORDS[CLASSES[label]])]
        texts.append(" ".join(rng.permutation(words)))
    positions = dict(zip(("train", "val", "test"), torch.arange(n).tensor_split([n * 3 // 5, n * 4 // 5]), strict=True))
    return domain_from_positions(name, CLASSES, TextInputs(texts), torch.arange(n) % 2, positions)


def write_model(folder: Path, layers: int = 2, features: int = 16) -> Path:
    """Write `config.json` and `tokenizer.json` of a small BERT encoder; a word is a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = sorted({*FILL, *sum(WORDS.values(), ()), *sum(THINGS.values(), ())})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "hidden_size": features,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * features,
        "max_position_embeddings": 24,
        "initializer_range": 0.2,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@cache
def model_folder() -> Path:
    """Return the folder of the small encoder, which is written once in a process."""
    return write_model(Path(tempfile.mkdtemp()))


class TinyBert(TextEncoder):
    """Two layers with dropout, 16 features, and texts of at most 12 tokens: some sentences are cut."""

    def __init__(self, dropout: float = 0.1) -> None:
        rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        super().__init__(str(model_folder()), longest=12, options=rates)
