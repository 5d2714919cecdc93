"""Names of settings that are read from source files are those of the imported objects."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from landbridge.cli.config_sources import conf_folder
from landbridge.config.signatures import locate, read_signature
from landbridge.config.source_signatures import settings_in_source


def targets(node):
    if isinstance(node, dict):
        yield from [node["_target_"]] if isinstance(node.get("_target_"), str) else []
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from targets(each)


def test_the_source_says_the_same_as_the_imported_object_for_every_option():
    files = (OmegaConf.to_container(OmegaConf.load(path)) for path in conf_folder().glob("**/*.yaml"))
    every = sorted({target for file in files for target in targets(file)})
    unknown = []
    for target in every:
        if (found := settings_in_source(target)) is None:
            unknown.append(target)
        else:
            signature = read_signature(locate(target))
            assert (target, found, False) == (target, frozenset(signature.hints), signature.open)
    assert len(every) > 90
    # They take any further names.
    assert unknown == ["pytorch_lightning.loggers.TensorBoardLogger", "pytorch_lightning.loggers.WandbLogger"]


MODULE = """
from abc import ABC
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar
import functools
from nowhere import Missing

T = TypeVar("T")

class Base(ABC):
    def __init__(self, a, *, b=1): ...

class Left(Base):
    def __init__(self, left=0, **more):
        super().__init__(**more)

class Right(Base):
    def __init__(self, right=0, **more):
        super().__init__(b=2, **more)

class Both(Left, Right, Generic[T]):
    pass

class Through(Left):
    def __init__(self, own=0, **more):
        super().__init__(b=2, **more)

class Places(Base):
    def __init__(self, c, **more):
        super().__init__(c, **more)

@dataclass
class Old:
    x: int
    kind: ClassVar = 1

@dataclass(frozen=True)
class New(Old):
    y: int = 2

class Open(Base):
    def __init__(self, c, **more):
        super().__init__()

class FromNowhere(Missing):
    def __init__(self, c, **more):
        super().__init__(**more)

class ClosedFromNowhere(Missing):
    def __init__(self, c): ...

@functools.lru_cache
def decorated(a): ...

def function(a, /, b, *, c): ...

alias = function
"""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Base", {"a", "b"}),
        ("Both", {"left", "right", "a"}),
        ("Through", {"own", "left", "a"}),  # `Left` passes b on
        ("Places", {"c", "b"}),
        ("New", {"x", "y"}),
        ("Open", {"c", "a", "b"}),  # as `read_signature` says
        ("FromNowhere", None),
        ("ClosedFromNowhere", {"c"}),
        ("decorated", None),
        ("function", {"a", "b", "c"}),
        ("alias", None),
        ("absent", None),
    ],
)
def test_what_is_not_plain_is_left_open(name, settings, tmp_path: Path, monkeypatch):
    # Each case is a package of its own, because files are read once.
    package = f"plainly_{name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / "module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    found = settings_in_source(f"{package}.module.{name}")
    assert found == (None if settings is None else frozenset(settings))
