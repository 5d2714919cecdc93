"""The stages that are frozen throughout a run, and a hash of everything that determines their activations."""

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import PIL
import torch
from torch import Tensor

from landbridge.data.formats import Format, ImageFormat
from landbridge.data.inputs import Inputs
from landbridge.models.backbones.backbone import Backbone
from landbridge.strategies.base import Strategy

# Raise this number after a change of the layout, rendering or decoding of images. Then old entries are not read.
SCHEMA = 1
# Raise this number after a change of what a segment holds.
LAYOUT = 2


def stands_still(strategy: Strategy, depth: int) -> bool:
    """Return whether the first `depth` stages are frozen in training: no gradient, and evaluation mode."""
    if strategy.requirements.replaces_weights:
        return False
    strategy.train()
    backbone = strategy.network.backbone
    stage_of = backbone.stage_of
    learns = any(stage_of[name] < depth for name, each in backbone.named_parameters() if each.requires_grad)
    moves = any(module.training for module, stages in backbone.stages_of_module.items() if max(stages) < depth)
    return not learns and not moves


def prefix_keys(backbone: Backbone, config: Mapping[str, Any], depth: int) -> list[str]:
    """Return a hash of the first stages for each depth from 0 to `depth`.

    The hash covers the stages' code, settings, parameters and buffers.

    Args:
        backbone: the backbone with its present weights.
        config: the backbone's configuration.
        depth: the last depth.
    """
    parts: list[list[tuple[str, Tensor | None]]] = [[] for _ in range(max(1, len(backbone.stages)))]
    for name, module in backbone.named_modules():
        stages = backbone.stages_of_module[module]
        parts[max(stages)].append((f"{name} {type(module).__qualname__}({module.extra_repr()})", None))
        parts[min(stages)] += [(f"{name}.{buffer}", each) for buffer, each in module.named_buffers(recurse=False)]
    stage_of = backbone.stage_of
    for name, parameter in backbone.named_parameters():
        parts[stage_of[name]].append((name, parameter))
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([SCHEMA, torch.__version__, version("timm"), config], sort_keys=True).encode())
    digest.update(backbone.origin.encode())
    digest.update(inspect.getsource(sys.modules[type(backbone).__module__]).encode())
    keys = [digest.hexdigest()]
    for part in parts[:depth]:
        for name, tensor in part:
            digest.update(name.encode())
            if tensor is not None:
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        keys.append(digest.hexdigest())
    return keys


def entry_key(prefix: str, kind: str, format: Format, how: str) -> str:
    """Return the key of an entry, which determines the content of its rows together with the hash of a sample.

    Args:
        prefix: hash of the stages that run.
        kind: how samples are read; see `Inputs.kinds`.
        format: format to which the samples are rendered.
        how: kind of device, and precision.
    """
    return _hash(json.dumps([LAYOUT, prefix, kind, repr(format), how]))


def decoded_key(kind: str, format: Format) -> str:
    """Return the key of raw samples, such as decoded images. It does not depend on the normalisation of images."""
    if isinstance(format, ImageFormat):
        format = replace(format, mean=(), std=())
    return entry_key(f"decoded {SCHEMA} {PIL.__version__}", kind, format, "")


def ordered_key(prefix: str, inputs: Inputs, format: Format | None, how: str) -> str:
    """Return the key of rows that depend on the order of the samples, such as random views of them; see `entry_key`.

    Seeds of views are computed from it, so another way to compute it would change results.
    """
    reading = [inputs.reading] if inputs.reading else []
    kind = [prefix, type(inputs).__name__, inputs.shape, repr(format), how, *reading]
    return _hash(json.dumps(kind) + str(inputs.hashes()))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
