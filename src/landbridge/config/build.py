"""Builds objects from configuration nodes. No other module does this."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from landbridge.config.allocations import Allocations
from landbridge.config.reasons import explained


def factory(node: DictConfig | Mapping[str, Any]) -> Callable[..., Any]:
    """Return a callable that has the settings of a checked node and takes the other arguments.

    If a library refuses a setting, the callable raises a `LandbridgeError`; see `explained`.

    Args:
        node: a mapping with `_target_`. Its settings are passed as plain Python values, not as OmegaConf objects.
    """

    def made(*arguments: Any, **supplied: Any) -> Any:
        with explained(node), Allocations():
            return instantiate(node, _convert_="all", _partial_=True)(*arguments, **supplied)

    return made


def nodes_of(name: str, group: Mapping[str, Any] | Sequence[Any] | None) -> list[tuple[str, Any]]:
    """Return the nodes of a group that holds several, by name or as a list, each with its path."""
    if isinstance(group, Mapping):
        return [(f"{name}.{key}", node) for key, node in group.items()]
    return [(f"{name}[{number}]", node) for number, node in enumerate(group or ())]


def build(node: DictConfig | Mapping[str, Any], **supplied: Any) -> Any:
    """Build the object that a checked node names.

    Args:
        node: a mapping with `_target_`.
        **supplied: arguments that a run provides in addition to the node's settings. They are passed directly, because
            Hydra would copy them.
    """
    return factory(node)(**supplied)
