"""The floors of the house, read from the source: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import landbridge

ROOT = Path(landbridge.__file__).parent

# From the top. A module imports from its own floor and from those below.
FLOORS = (
    {"__main__"},
    {"sweeps"},
    {"run", "table", "trials"},
    {"assemble"},
    {"start", "evaluate", "samples", "cache", "report", "folder", "lightning", "dashboard", "check"},
    {"averaging", "epochs", "build"},
    {"strategies"},
    {"network", "tuning"},
    {"backbones", "freezing", "schedules", "selection"},
    {"data"},
    {"losses", "statistics", "transferability", "record", "groups", "choices", "clock", "signatures", "values"},
    {"checkpoints", "nearest", "errors", "endings", "allocator", "__init__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
# Someone can lift these out and use them.
PURE = {"losses", "selection", "statistics", "transferability"}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def part(file: str) -> str:
    """Return the name of a file's module or package, directly below `landbridge`."""
    return file.split("/")[0].removesuffix(".py")


def imports(file: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it: `landbridge.record.Record` for a name in a module."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the floor"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(file: str) -> set[str]:
    names = (name.split(".") for name in imports(file))
    return {(path[1] if path[1] in FLOOR else "__init__") for path in names if path[0] == "landbridge" and path[1:]}


@pytest.mark.parametrize("file", FILES)
def test_an_import_never_runs_upwards(file):
    assert part(file) in FLOOR, f"{file} has no floor: give it one in this test and in docs/architecture.md"
    upwards = {name for name in parts_imported(file) if FLOOR[name] < FLOOR[part(file)]}
    assert not upwards


@pytest.mark.parametrize("file", [file for file in FILES if part(file) in PURE])
def test_pure_functions_import_nothing_of_landbridge_but_one_another(file):
    assert parts_imported(file) <= PURE


def test_nothing_that_trains_imports_the_evaluation():
    assert {part(file) for file in FILES if "evaluate" in parts_imported(file)} <= {"run", "report"}


def test_configuration_becomes_code_in_one_place():  # C9, C13
    def instantiates(file: str) -> bool:
        tree = ast.parse((ROOT / file).read_text())
        names = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in ast.walk(tree)}
        return "instantiate" in names or any(name.endswith(".instantiate") for name in imports(file))

    assert [file for file in FILES if instantiates(file)] == ["build.py"]
