"""Names of settings: what is said about an unknown one, and a check of names that imports nothing large."""

from collections.abc import Collection, Iterator, Mapping, Set
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from landbridge.config.slots import SLOTS
from landbridge.config.source_signatures import settings_in_source
from landbridge.errors import LandbridgeError, nearest

#: The keys of a node that Hydra reads itself.
HYDRA_KEYS: Mapping[str, Any] = {
    "_target_": str,
    "_partial_": bool,
    "_convert_": Literal["none", "partial", "object", "all"],
    "_recursive_": bool,
}


def check_names(cfg: DictConfig) -> None:
    """Find settings that do not exist, before torch and other large packages are imported.

    The names are read from source files. What they do not show plainly is left to `check`, and so is everything else.

    Args:
        cfg: the composed configuration.

    Raises:
        LandbridgeError: lists all unknown names.
    """
    content: Any = OmegaConf.to_container(cfg)
    require_none(dict(problem for name in SLOTS.keys() & content for problem in _unknown(name, content[name], name)))


def require_none(problems: Mapping[str, str]) -> None:
    """Raise an error that lists problems by path, one a line, if there are any."""
    if problems:
        width = max(map(len, problems)) + 3
        # Messages of other libraries may have several lines.
        lines = [f"  {path:{width}}{' '.join(problems[path].split())}" for path in sorted(problems)]
        title = f"{len(lines)} problem{'s' if len(lines) > 1 else ''} in the configuration"
        raise LandbridgeError("\n".join([title, *lines]))


def no_such_setting(key: Any, known: Collection[str], owner: str) -> str:
    """Return what is said about an unknown name: the nearest one, or the valid ones if they are few."""
    best = nearest(str(key), sorted(known))
    return f"{owner} has no such setting" + (f"; nearest: {best}" if best else listed(known))


def listed(known: Collection[str]) -> str:
    """Return the end of a message: the valid names if they are few."""
    own = sorted(name for name in known if name not in HYDRA_KEYS)
    if not own:
        return "; it has none"
    return f"; valid: {', '.join(own)}" if len(own) <= 8 else ""


def join(path: str, key: Any) -> str:
    """Return the path of an entry inside a node."""
    return f"{path}.{key}" if path else str(key)


def _unknown(path: str, value: Any, slot: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the unknown names in a value and in the nodes inside it, each with a message."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown(f"{path}[{number}]", item)
    if not isinstance(value, dict):
        return
    target = value.get("_target_")
    if isinstance(target, str) and (settings := settings_in_source(target)) is not None:
        # What a run supplies is named by `check`, in its own words.
        supplied: Set[str] = SLOTS[slot].supplied if slot else frozenset()
        known = (settings - supplied) | HYDRA_KEYS.keys()
        for key in value.keys() - known - supplied:
            yield join(path, key), no_such_setting(key, known, target.rpartition(".")[2])
    for key, item in value.items():
        yield from _unknown(join(path, key), item)
