"""From a configuration node to the object it names: the only place where configuration becomes objects."""

from collections.abc import Callable, Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig


def factory(node: DictConfig | Mapping[str, Any]) -> Callable[..., Any]:
    """Return a callable that holds a checked node's settings and waits for the other arguments.

    Args:
        node: a mapping with `_target_`. Its settings arrive as plain Python values, never as OmegaConf objects.
    """
    return instantiate(node, _convert_="all", _partial_=True)


def build(node: DictConfig | Mapping[str, Any], **supplied: Any) -> Any:
    """Build the object that a checked node names.

    Args:
        node: a mapping with `_target_`.
        **supplied: arguments that a run provides beside the node's settings. They are passed on as they are; Hydra
            would copy them.
    """
    return factory(node)(**supplied)
