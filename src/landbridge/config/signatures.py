"""Imports objects by dotted name, and reads from the code which class they make and which settings they take."""

import ast
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from textwrap import dedent
from types import ModuleType, SimpleNamespace
from typing import Any, get_origin, get_type_hints

from landbridge.config.source_signatures import passed_to_base
from landbridge.errors import nearest


@dataclass(frozen=True)
class Signature:
    """The settings that a class or function takes by name.

    Attributes:
        hints: the resolved annotation of each setting; `Any` if it has none or the annotation cannot be resolved.
        defaults: the default of each setting that has one.
        open: whether further keywords are accepted, whose names are unknown.
    """

    hints: Mapping[str, Any]
    defaults: Mapping[str, Any]
    open: bool

    @property
    def required(self) -> frozenset[str]:
        """The settings that have no default."""
        return frozenset(self.hints.keys() - self.defaults.keys())


def locate(dotted: str) -> Any:
    """Import the module, class or function with a dotted name.

    Raises:
        ImportError: nothing has that name (the message suggests the nearest name), or one of the modules in the name
            cannot be imported (the message shows the original error, which is also the cause).
    """
    path, *rest = dotted.split(".")
    found = _import(path, None)
    for name in rest:
        path = f"{path}.{name}"
        if not hasattr(found, name):
            _import(path, found)
        found = getattr(found, name)
    return found


def _import(path: str, parent: Any) -> ModuleType:
    if parent is None or isinstance(parent, ModuleType):
        try:
            return import_module(path)
        except Exception as error:
            if not (isinstance(error, ModuleNotFoundError) and error.name == path):
                raise ImportError(f"the import of {path} fails with {type(error).__name__}: {error}") from error
    owner, _, name = path.rpartition(".")
    # Without a path, `iter_modules` lists all top-level modules.
    modules = (module.name for module in iter_modules(getattr(parent, "__path__", []) if parent else None))
    best = nearest(name, [option for option in sorted({*dir(parent), *modules}) if not option.startswith("_")])
    missing = f"{owner} has no '{name}'" if owner else f"there is no package '{name}'"
    raise ImportError(f"{missing}; nearest: {best}" if best else missing)


def product(target: Any) -> type | None:
    """Return the class of the object that a call of the target makes.

    Returns:
        For a class, the class itself. For a function, the class in its return annotation. None if there is none.
    """
    made = target if isinstance(target, type) else _hints(target).get("return")
    made = get_origin(made) or made
    return made if isinstance(made, type) else None


@cache
def read_signature(target: Callable[..., Any]) -> Signature:
    """Return the settings of a class or function.

    If a constructor takes `**kwargs`, the settings of the next class in the method resolution order are added.
    Arguments that the constructor itself passes to `super().__init__` are not added.

    Example:
        With these two classes, the settings of `Child` are `b` and `c`, of which `b` is required. `a` is no setting,
        because `Child` sets it. The signature is not open, because `Base` takes no `**kwargs`::

            class Base:
                def __init__(self, a: int, b: int) -> None: ...

            class Child(Base):
                def __init__(self, c: float = 0.5, **kwargs) -> None:
                    super().__init__(a=1, **kwargs)
    """
    if not isinstance(target, type):
        return _own_settings(target, skip=0)
    hints: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    is_open, positional, passed = False, 0, set()
    for base in target.__mro__[:-1]:
        constructor = vars(base).get("__init__") or vars(base).get("__new__")
        if constructor is None:
            continue
        own = _own_settings(constructor, skip=1 + positional)
        new = {name: hint for name, hint in own.hints.items() if name not in passed and name not in hints}
        hints |= new
        defaults |= {name: value for name, value in own.defaults.items() if name in new}
        is_open = own.open
        if not is_open:
            break
        positional, named = _passed_to_base(constructor)
        passed |= named  # a base may pass them on by its `**kwargs`
    return Signature(hints, defaults, is_open)


def _own_settings(function: Any, skip: int) -> Signature:
    """Return the settings of one function, without its first `skip` parameters."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except ValueError:  # some compiled functions have no signature
        return Signature({}, {}, True)
    annotations = _hints(function)
    hints: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            hint = annotations.get(parameter.name, Any)
            # Older code writes `x: int = None` although None is a valid value.
            hints[parameter.name] = hint | None if parameter.default is None else hint
            if parameter.default is not parameter.empty:
                defaults[parameter.name] = parameter.default
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return Signature(hints, defaults, is_open)


def _passed_to_base(constructor: Any) -> tuple[int, set[str]]:
    with suppress(OSError, TypeError, SyntaxError):  # constructors without Python source
        return passed_to_base(ast.parse(dedent(inspect.getsource(constructor))))
    return 0, set()


def _hints(function: Any) -> dict[str, Any]:
    """Resolve annotations one by one, so that one unresolvable annotation does not prevent the others."""
    function = inspect.unwrap(function)
    names = getattr(function, "__globals__", None)
    hints: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        with suppress(Exception):
            alone = SimpleNamespace(__annotations__={name: annotation})
            hints |= get_type_hints(alone, globalns=names, include_extras=True)
    return hints
