"""Files of weights as other programs write them: which entry holds the weights, and which prefixes are not theirs."""

import argparse
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landbridge.errors import LandbridgeError

log = logging.getLogger(__name__)

#: Entries that hold the weights, the best first: timm tests the averaged weights where it keeps them.
ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state", "model_state_dict")
#: Prefixes of modules around a model: of DDP and averaging, of torch.compile, of a LightningModule.
WRAPPERS = ("module.", "_orig_mod.", "model.")


def load_foreign(path: Path) -> Any:
    """Return the content of a torch file, without executing code in it. timm's settings of a training are allowed.

    Raises:
        LandbridgeError: the file holds other objects, or it is no file of torch.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if found := re.search(r"GLOBAL (\S+)|class (\S+) was", str(error)):
            raise LandbridgeError(
                f"start.path: {path} holds an object of {found[1] or found[2]} beside the weights, which is not read "
                "because it may execute code; save the state dict alone"
            ) from error
        raise LandbridgeError(f"start.path: {path} is not a file of weights ({type(error).__name__})") from error


def state_dict_in(content: Any, path: Path) -> Mapping[str, Tensor]:
    """Return the state dict in the content of a file, under the names of the model without modules around it.

    Raises:
        LandbridgeError: there is none. The message lists the entries of the file.
    """
    state = content
    while isinstance(state, dict) and (entry := next((e for e in ENTRIES if isinstance(state.get(e), dict)), None)):
        if entry.endswith("ema"):
            log.info("start.path: the averaged weights (%s) of %s are read", entry, path)
        state = state[entry]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        keys = [str(key) for key in content] if isinstance(content, dict) else []
        holds = f"has the entries {', '.join(keys[:6])}" if keys else f"holds a {type(content).__name__}"
        raise LandbridgeError(f"start.path: {path} holds no state dict; the file {holds}")
    return without_wrappers(state)


def without_wrappers(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Remove the prefixes of modules around a model from the names that have them, if most names have them.

    Example:
        `module._orig_mod.conv1.weight` becomes `conv1.weight`.
    """
    for prefix in WRAPPERS:
        inside = [name for name in state if name.startswith(prefix)]
        if 2 * len(inside) > len(state):
            return without_wrappers({name.removeprefix(prefix): value for name, value in state.items()})
    return state
