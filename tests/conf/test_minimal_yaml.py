"""A YAML file holds only what differs from the defaults of the signature that it configures."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder
from landbridge.config.signatures import locate

FILES = sorted(path for path in conf_folder().rglob("*.yaml") if "hydra" not in path.relative_to(conf_folder()).parts)


def defaults(target: Any) -> dict[str, Any]:
    """Return the defaults of a class or function; those of a base count where the class has no such parameter."""
    found: dict[str, Any] = {}
    for each in target.__mro__[:-1] if isinstance(target, type) else [target]:
        function = vars(each).get("__init__") if isinstance(each, type) else each
        if inspect.isfunction(function):
            for name, parameter in inspect.signature(function).parameters.items():
                found.setdefault(name, parameter.default)
    return found


def repeated(node: Any, path: str = "") -> Iterator[str]:
    """Yield the settings of landbridge's own classes and functions whose value is the default.

    Defaults of other libraries may be repeated, because they may change with a new version.
    """
    if not isinstance(node, dict):
        return
    target = str(node.get("_target_", ""))
    own = defaults(locate(target)) if target.startswith("landbridge.") else {}
    for key, value in node.items():
        default = own.get(key, inspect.Parameter.empty)
        same_kind = isinstance(value, type(default)) or {type(value), type(default)} == {int, float}
        if same_kind and value == default:
            yield f"{path}{key}"
        yield from repeated(value, f"{path}{key}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(conf_folder()).as_posix())
def test_a_file_repeats_no_default(path: Path):
    assert not list(repeated(OmegaConf.to_container(OmegaConf.load(path))))


def test_a_repeated_default_is_found():
    node = {"_target_": "landbridge.training.freezing.Depth", "depth": 0}
    assert list(repeated({"freeze": node})) == ["freeze.depth"]
    assert not list(repeated({"freeze": node | {"depth": 1}}))
