"""Which room may import which: the order stands in docs/architecture.md, and the imports are read from the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import landbridge

ROOT = Path(landbridge.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
#: Rooms from the top down. A room imports only rooms that stand below it.
ROOMS = re.findall(r"^(\w+) {2,}\S", PAGE.read_text().split("## Where things are")[1].split("```")[1], re.MULTILINE)
# They can be used without the rest of landbridge.
PURE = {"losses", "selection", "statistics"}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def room(file: str) -> str:
    """Return the name of a file's room: the folder or file directly below `landbridge`."""
    return file.split("/")[0].removesuffix(".py")


def imports(file: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, anywhere in it: `landbridge.record.Record` for a name in a module."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides the room"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(file: str) -> set[str]:
    names = (name.split(".") for name in imports(file))
    return {path[1] for path in names if path[0] == "landbridge" and path[1:] and path[1] in ROOMS}


def test_the_page_lists_every_room():
    assert len(ROOMS) == len(set(ROOMS))
    assert {room(file) for file in FILES} - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("file", FILES)
def test_no_import_runs_upwards(file):
    if room(file) == "__init__":
        return  # its functions import what they need: see below
    own = ROOMS.index(room(file))
    assert not {name for name in rooms_imported(file) if ROOMS.index(name) < own}


def test_the_package_itself_imports_nothing_large():
    code = "import sys, landbridge; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "hydra", "omegaconf", "numpy", "pydantic"} & {*loaded}


@pytest.mark.parametrize("file", [file for file in FILES if room(file) in PURE])
def test_pure_functions_import_nothing_of_landbridge_but_one_another(file):
    assert rooms_imported(file) <= PURE


def test_only_the_run_imports_the_final_evaluation():
    def evaluates(file: str) -> bool:
        return any(f"{name}.".startswith("landbridge.run.evaluate.") for name in imports(file))

    assert [file for file in FILES if evaluates(file)] == ["run/run.py"]


def test_configuration_becomes_objects_in_one_place():
    def instantiates(file: str) -> bool:
        tree = ast.parse((ROOT / file).read_text())
        names = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in ast.walk(tree)}
        return "instantiate" in names or any(name.endswith(".instantiate") for name in imports(file))

    assert [file for file in FILES if instantiates(file)] == ["config/build.py"]


def test_a_run_imports_slow_packages_only_when_it_needs_them():
    code = "import sys, landbridge.run.run; print(*{name.partition('.')[0] for name in sys.modules})"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"timm", "sklearn", "wandb", "mlxtend", "skimage", "ot"} & set(names)
