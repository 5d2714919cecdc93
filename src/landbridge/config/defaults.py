"""A configuration with the defaults that the code adds, so that a run is known by all its settings."""

from collections.abc import Mapping
from typing import Any

from landbridge.config.signatures import locate, read_signature
from landbridge.config.slots import SLOTS
from landbridge.strategies.terms import TERMS

#: Groups of objects whose settings do not determine a result, or whose defaults change with each version of Lightning.
LEFT_OUT = frozenset({"trainer", "logger", "callbacks"})
#: Packages whose new versions bring new settings, with defaults that keep the result.
STABLE = frozenset({"torch", "torchvision", "timm", "transformers"})


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked configuration in which every setting of an object that has a plain default is written down.

    A fingerprint of it changes when a default in the code changes, and does not change when a user writes a default
    down.

    Args:
        config: resolved configuration, as plain values.
    """
    whole = {group: node if group in LEFT_OUT else _completed(node, _supplied(group)) for group, node in config.items()}
    strategy = whole["strategy"]
    return whole | {"terms": _terms(config.get("terms")), "strategy": strategy | _own_terms(strategy)}


def _supplied(group: str) -> frozenset[str]:
    """Return what is no setting, because the run provides it."""
    return SLOTS[group].supplied if group in SLOTS else frozenset()


def _completed(node: Any, supplied: frozenset[str] = frozenset()) -> Any:
    if isinstance(node, list):
        return [_completed(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    inside = {key: _completed(value) for key, value in node.items()}
    target = str(node.get("_target_", ""))
    if target.partition(".")[0] in {"", *STABLE}:
        return inside
    return {name: value for name, value in _defaults(locate(target)).items() if name not in supplied} | inside


def _defaults(target: Any) -> dict[str, Any]:
    return {name: value for name, value in read_signature(target).defaults.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _own_terms(strategy: Mapping[str, Any]) -> dict[str, Any]:
    return {"terms": _terms(strategy["terms"])} if strategy.get("terms") else {}


def _terms(settings: Any) -> dict[str, Any] | None:
    """Return auxiliary losses with all their settings; see `landbridge.strategies.terms`."""
    if not settings:
        return None
    named = settings if isinstance(settings, Mapping) else dict.fromkeys(settings)
    return {
        name: _defaults(TERMS[name]) | ({"weight": value} if isinstance(value, int | float) else dict(value or {}))
        for name, value in named.items()
    }
