"""Writes weights under the names of the library that a backbone comes from, so that they load without landbridge.

With timm, the file holds the whole classifier if the head is linear: `timm.create_model(name, num_classes=k)` loads it.
With transformers, it holds the encoder; other backbones keep their own names. A head that does not belong to the
library's model is written beside the file, as `NAME.head.safetensors`, with the bottleneck if there is one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from landbridge.errors import LandbridgeError
from landbridge.export.deployed import TRACED
from landbridge.export.graphs import TOLERANCE
from landbridge.heads import Linear
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.backbones.transformer_text import TextEncoder
from landbridge.models.network import Network

HEAD = ".head.safetensors"


@dataclass(frozen=True)
class Weights:
    """Weights under the names of a library.

    Attributes:
        state: of the library's model.
        how: the code that makes this model.
        model: the model, to compare its outputs; None if the names are landbridge's own.
        head: of what the library's model lacks; empty if it has everything.
        more: further metadata.
    """

    state: Mapping[str, Tensor]
    how: str
    model: nn.Module | None = None
    head: Mapping[str, Tensor] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


@torch.no_grad()
def write_weights(network: Network, path: Path, metadata: Mapping[str, str]) -> tuple[str, float | None]:
    """Write the weights of a network, load them again, and compare the outputs.

    Args:
        network: in evaluation mode, on the CPU.
        path: the file; the head may get a file beside it.
        metadata: texts that travel along, by key.

    Returns:
        the code that makes the model; the largest difference of a feature or, with a head, of an output. None if the
        names are landbridge's own.

    Raises:
        LandbridgeError: the library's model has no place for the weights, or computes something else.
    """
    found = _of_library(network)
    _save(found.state, path, {**metadata, **found.more, "load": found.how})
    if found.head:
        _save(
            found.head,
            path.with_name(path.stem + HEAD),
            {"load": "if it is linear: outputs = weight @ features + bias; a bottleneck makes these features"},
        )
    if found.model is None:
        return found.how, None
    found.model.load_state_dict(load_file(path))
    found.model.eval()
    example = network.backbone.format.example(TRACED, torch.Generator().manual_seed(0))
    encoded, got = network.backbone(*example), found.model(*example)
    wanted = encoded if found.head else network.outputs_of(network.narrowed(encoded))
    difference = float((wanted - got).abs().max()) / max(1.0, float(wanted.abs().max()))
    if not difference <= TOLERANCE:
        raise LandbridgeError(f"{path}: {found.how} differs by {difference:.1e}; export an .onnx or .pt2 file")
    return found.how, difference


def _of_library(network: Network) -> Weights:
    backbone = network.backbone
    if not isinstance(backbone, Timm | TextEncoder):
        # A head of the source alone predicts nothing for the target.
        state = {name: value for name, value in network.state_dict().items() if not name.startswith("source.")}
        return Weights(state, "landbridge.load(RUN).network.load_state_dict(...)")
    if any(".adapter." in name for name in backbone.state_dict()):
        raise LandbridgeError(
            f"adapters cannot be merged into the weights of {type(backbone).__name__}; export an .onnx or .pt2 file, "
            f"which keep them"
        )
    return _of_timm(network, backbone) if isinstance(backbone, Timm) else _of_transformers(network, backbone)


def _of_timm(network: Network, backbone: Timm) -> Weights:
    own = {name.removeprefix("model."): value for name, value in backbone.state_dict().items()}
    options = "".join(f", {key}={value!r}" for key, value in backbone.options.items())
    plain = timm.create_model(backbone.name, num_classes=0, **backbone.options)
    state = _only(own, plain)
    head = _linear(network)
    if head:
        whole = timm.create_model(backbone.name, num_classes=network.outputs, **backbone.options)
        added = [name for name in whole.state_dict() if name not in state]
        places = {name.rpartition(".")[2]: name for name in added}
        shapes = {key: whole.state_dict()[name].shape for key, name in places.items()}
        if len(added) == 2 and shapes == {key: value.shape for key, value in head.items()}:
            how = f"timm.create_model({backbone.name!r}, num_classes={network.outputs}{options})"
            return Weights({**state, **{places[key]: value for key, value in head.items()}}, how, whole)
    how = f"timm.create_model({backbone.name!r}, num_classes=0{options})"
    return Weights(state, how, plain, head or _own_head(network))


def _of_transformers(network: Network, backbone: TextEncoder) -> Weights:
    from transformers import BertConfig, BertModel

    config = BertConfig(**backbone.config)
    plain = BertModel(config, add_pooling_layer=False)
    own = {_of_bert(name): value for name, value in backbone.state_dict().items()}
    how = "transformers.BertModel(transformers.BertConfig(**json.loads(config)), add_pooling_layer=False)"
    head = _linear(network) or _own_head(network)
    return Weights(_only(own, plain), how, _MeanOfTokens(plain), head, {"config": json.dumps(backbone.config)})


class _MeanOfTokens(nn.Module):
    """A BERT encoder of transformers with the mean over the tokens of a text, as Sentence-BERT takes it."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def load_state_dict(self, state: Mapping[str, Any], *rest: Any, **options: Any) -> Any:
        return self.encoder.load_state_dict(state, *rest, **options)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weights = mask[:, :, None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)


def _of_bert(name: str) -> str:
    layer, _, rest = name.partition(".")
    return f"encoder.layer.{int(layer[5:]) - 1}.{rest}" if layer.startswith("layer") else name


def _only(own: Mapping[str, Tensor], plain: nn.Module) -> dict[str, Tensor]:
    """Return the weights that the library's model has; a strategy may have added others, for another stream."""
    names = plain.state_dict()
    if missing := [name for name in names if name not in own]:
        raise LandbridgeError(f"the model has no weights for {missing[0]} of the library's model; export .onnx or .pt2")
    return {name: own[name] for name in names}


def _linear(network: Network) -> dict[str, Tensor]:
    """Return weight and bias of a linear head in the units of the data; nothing if backbone and head do not suffice."""
    head = network.head
    if network.bottleneck is not None or not isinstance(head, nn.Linear) or type(head) not in (nn.Linear, Linear):
        return {}
    weight, bias = head.weight, head.bias
    if network.units is not None:
        centre, scale = network.units.centre, network.units.scale
        weight, bias = scale[:, None] * weight, torch.addcmul(centre, bias, scale)
    return {"weight": weight, "bias": bias}


def _own_head(network: Network) -> dict[str, Tensor]:
    units = {} if network.units is None else {f"units.{name}": each for name, each in network.units.named_buffers()}
    narrow = {} if network.bottleneck is None else network.bottleneck.state_dict(prefix="bottleneck.")
    return {**narrow, **network.head.state_dict(), **units}


def _save(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    save_file({name: value.detach().clone().contiguous() for name, value in state.items()}, path, dict(metadata))
