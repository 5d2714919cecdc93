"""Reads from source files which settings a class or function takes. Nothing is imported, so this takes milliseconds.

`signatures.read_signature` says the same about imported objects, and more. Here, whatever is not plain in the source
has the answer None.
"""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: Bases without a constructor, which no file defines.
BARE = frozenset({"abc.ABC", "object", "typing.Protocol", "typing.Generic"})
#: Decorators that leave the signature of a constructor or a function as it is written.
PLAIN = frozenset({"cache", "override", "_defaults_from_env_vars"})

Definition = ast.ClassDef | ast.FunctionDef


def settings_in_source(dotted: str) -> frozenset[str] | None:
    """Return the names of the settings that a class or function takes.

    Args:
        dotted: name of the class or function, as in `_target_`.

    Returns:
        The names; None if it takes further names, or if the source does not show them plainly.
    """
    try:
        found = _find(dotted)
        if found is None:
            return None
        definition, module = found
        if isinstance(definition, ast.FunctionDef):
            return None if definition.args.kwarg or not _is_plain(definition) else frozenset(_names(definition))
        return _of_class(_order(definition, module))
    except (OSError, SyntaxError, RecursionError, _UnknownError):
        return None


def passed_to_base(tree: ast.AST) -> tuple[int, set[str]]:
    """Return how many arguments a constructor passes to its base by position, and the names of the others."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            return len(call.args), {keyword.arg for keyword in call.keywords if keyword.arg}
    return 0, set()


class _UnknownError(Exception):
    """The source does not show the answer."""


def _of_class(order: Sequence[ast.ClassDef | None]) -> frozenset[str]:
    """Follow the constructors as long as they pass further settings on to the next class.

    Args:
        order: the classes in the order in which Python searches them; None is a class that cannot be read.
    """
    known: set[str] = set()
    positional, passed = 0, set()
    for number, each in enumerate(order):
        if each is None:
            raise _UnknownError
        own = {node.name: node for node in each.body if isinstance(node, ast.FunctionDef)}
        if any(ast.unparse(decorator).partition("(")[0] == "dataclass" for decorator in each.decorator_list):
            return frozenset(known | {*_fields(order[number:])} - passed)
        if each.decorator_list or "__new__" in own:
            raise _UnknownError
        if (constructor := own.get("__init__")) is None:
            continue
        if not _is_plain(constructor):
            raise _UnknownError
        known |= {*_names(constructor, 1 + positional)} - passed
        if not constructor.args.kwarg:
            return frozenset(known)
        positional, named = passed_to_base(constructor)
        passed |= named  # a base may pass them on by its `**kwargs`
    if known:  # its constructor takes further names, and no base says which
        raise _UnknownError
    return frozenset()


def _names(function: ast.FunctionDef, skip: int = 0) -> list[str]:
    arguments = function.args
    places = [*arguments.posonlyargs, *arguments.args][skip:]
    return [each.arg for each in [*places, *arguments.kwonlyargs]]


def _is_plain(function: ast.FunctionDef) -> bool:
    return {ast.unparse(each).partition("(")[0] for each in function.decorator_list} <= PLAIN


def _fields(order: Sequence[ast.ClassDef | None]) -> Iterator[str]:
    for each in order:
        if each is None:
            raise _UnknownError
        for node in each.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if "init=False" in ast.unparse(node):
                    raise _UnknownError
                if not ast.unparse(node.annotation).startswith("ClassVar"):
                    yield node.target.id


def _order(definition: ast.ClassDef, module: str) -> list[ast.ClassDef | None]:
    """Return a class and its bases in Python's order (C3, with at most one base that cannot be read)."""
    lines: list[list[ast.ClassDef | None]] = []
    for base in definition.bases:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        dotted = _meant(name, module)
        if dotted in BARE:
            continue
        found = _find(dotted) if dotted else None
        lines.append(_order(*found) if found and isinstance(found[0], ast.ClassDef) else [None])  # pyright: ignore[reportArgumentType]
    order: list[ast.ClassDef | None] = [definition]
    lines += [[line[0] for line in lines]]
    while lines := [line for line in lines if line]:
        first = next((line[0] for line in lines if not any(line[0] in other[1:] for other in lines)), None)
        order.append(first)
        if first is None:
            break
        lines = [[each for each in line if each is not first] for line in lines]
    return order


def _find(dotted: str, depth: int = 0) -> tuple[Definition, str] | None:
    """Return the definition that a dotted name means, and the module that holds it."""
    module, _, name = dotted.rpartition(".")
    if not module or depth > 8 or (path := _file(module)) is None:
        return None
    content = _content(path).get(name)
    if isinstance(content, str):
        return _find(content, depth + 1)
    return (content, module) if content else None


def _meant(name: str, module: str) -> str | None:
    """Return the dotted name that a name in a module means."""
    first, _, rest = name.partition(".")
    path = _file(module)
    content = _content(path).get(first) if path else None
    if content is None:
        return name if name in BARE else None
    own = content if isinstance(content, str) else f"{module}.{first}"
    return f"{own}.{rest}" if rest else own


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module. Only its top package is asked for, because that imports nothing."""
    top, *below = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.has_location and not below else None
    place = Path(spec.origin).parent.joinpath(*below)
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


@cache
def _content(path: Path) -> dict[str, Definition | str]:
    """Return what the names at the top of a module mean: a definition, or the dotted name of what is imported."""
    names: dict[str, Definition | str] = {}
    package = _package(path)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names |= {each.asname or each.name: f"{origin}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            for each in node.names:  # without `as`, only the first part of a dotted name is bound
                name = each.name if each.asname else each.name.partition(".")[0]
                names[each.asname or name] = name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                names.pop(ast.unparse(target), None)
    return names


def _package(path: Path) -> list[str]:
    """Return the names of the packages that hold a file, from the top."""
    names, folder = [], path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return names
