"""Weights of a timm model for a model of another input size or another number of channels."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from timm.models import load_pretrained
from torch import Tensor, nn


def fitted(state: Mapping[str, Tensor], model: nn.Module, channels: int) -> Mapping[str, Tensor]:
    """Adapt weights to a model with timm's own functions: position embeddings are resized, input channels are summed.

    Args:
        state: weights of a model of the same architecture, also with a classifier.
        model: the model, without a classifier; it is not changed.
        channels: of its inputs.

    Returns:
        the weights that timm would load, and those entries of `state` that the model does not have. Weights that fit
        already, and weights that timm cannot adapt, are returned as they are.
    """
    own = model.state_dict()
    if all(name in state and state[name].shape == value.shape for name, value in own.items()):
        return state
    adapted = deepcopy(model)
    with torch.no_grad():
        for tensor in adapted.state_dict().values():
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)  # what is still nan afterwards, timm has not loaded
    made: Any = model
    config = dict(made.pretrained_cfg) | {"source": "", "state_dict": dict(state)}
    module = sys.modules[type(model).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None) or getattr(module, "_filter_fn", None)
    try:
        with _silence():
            load_pretrained(adapted, config, num_classes=0, in_chans=channels, filter_fn=convert, strict=False)
    except Exception:  # timm's functions raise errors of many classes for weights of another architecture
        return state
    values = adapted.state_dict().items()
    loaded = {name: value for name, value in values if value.is_floating_point() and not bool(value.isnan().any())}
    if not loaded:
        return state
    # Counters, as BatchNorm has them, are no floating-point values.
    others = {name: value for name, value in state.items() if name not in own or not own[name].is_floating_point()}
    return loaded | others


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress timm's lines on entries that are adapted or left out: the start reports them."""
    logger = logging.getLogger("timm")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
