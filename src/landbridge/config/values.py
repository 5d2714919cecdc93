"""Compares configured values with the annotations of their parameters, and explains in plain words what is wrong."""

import functools
import math
from collections import abc
from collections.abc import Iterator
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from pydantic import TypeAdapter, ValidationError

from landbridge.errors import nearest

#: Replaces a value that is unknown because of a mistake that is already reported. It fits every annotation.
UNKNOWN = object()

SEQUENCES = {list, tuple, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Set, abc.Collection, abc.Iterable}
MAPPINGS = {dict, abc.Mapping, abc.MutableMapping}
SCALARS = {int: "an integer", float: "a number", bool: "true or false", str: "text", NoneType: "null"}
BOUNDS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "multiple_of": "a multiple of",
    "min_length": "of length >=",
    "max_length": "of length <=",
}


class StandIn:
    """Replaces the object of a node, so that a value can be compared with a type before its nodes are built.

    It counts as an instance of the object's class.

    Args:
        made: the class of the object that the node's target makes.
        name: the target, for messages.
        partial: whether the node makes a function that returns the object.
    """

    def __init__(self, made: type, name: str, partial: bool = False) -> None:
        self.made = made
        self.name = name
        self.partial = partial

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride] -- it is never set
        return functools.partial if self.partial else self.made

    def __repr__(self) -> str:
        return f"partial {self.name}" if self.partial else self.name


def faults(value: Any, hint: Any, where: str = "") -> list[tuple[str, str]]:
    """Find the parts of a value that do not fit a type.

    Args:
        value: plain Python values, with a `StandIn` for every node.
        hint: a resolved annotation.
        where: path of the value.

    Returns:
        For each part that does not fit, its path, such as `betas[1]`, and a message. Empty if the value fits.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return [(where, f"{value} is not finite")]
    if fits(value, hint):
        return []
    for member in _members(hint):
        items = _items(value, member) or []
        inside = [fault for suffix, item, item_hint in items for fault in faults(item, item_hint, where + suffix)]
        if inside:
            return inside
    message = _own_words(hint, value) or f"{show(value)} is not {describe(hint)}"
    words = [word for word in _options(hint) if isinstance(word, str)]
    best = nearest(value, words) if isinstance(value, str) else None
    return [(where, message + (f"; nearest: {best!r}" if best else ""))]


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value fits a type.

    The rules are those that a reader of YAML expects. A boolean is not a number, and text is not an integer. A list
    fits every type of sequence, an integer fits a float, and text fits a path. A node fits only if the type is a class
    and the node makes an instance of it. A type that cannot be compared with values accepts every value.

    Example:
        `fits(1, float)`, `fits([1, 2], Sequence[int])` and `fits("a/b", Path)` are true. `fits(True, int)`,
        `fits("3", int)`, `fits("abc", list[str])` and `fits(-1, Annotated[int, Ge(0)])` are false.

    Args:
        value: plain Python values, with a `StandIn` for every node.
        hint: a resolved annotation.
    """
    if value is UNKNOWN:
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, arguments[0]) and _accepts(Annotated[Any, *arguments[1:]], value)
    if origin in (Union, UnionType):
        return any(fits(value, member) for member in arguments)
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in arguments)
    items = _items(value, hint)
    if items is not None:
        return all(fits(item, item_hint) for _, item, item_hint in items)
    kind = origin or hint
    is_node = type(value) is StandIn
    if is_node and value.partial and kind is abc.Callable:
        return fits(StandIn(value.made, value.name), arguments[-1] if arguments else Any)
    if kind in (Any, object) or not isinstance(kind, type):
        return not is_node and _accepts(hint, value)
    if not is_node and (kind in SCALARS or is_typeddict(kind)):
        return _accepts(hint, value)
    if type(value) is str and kind in SEQUENCES:
        return False  # Python treats text as a sequence of letters, but a user does not mean it as a list
    if type(value) is str and issubclass(kind, PurePath):
        return True
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def show(value: Any) -> str:
    """Return a value as text for a message, with at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def describe(hint: Any) -> str:
    """Describe in plain words what a type accepts, such as `an integer >= 0 or 'all'`."""
    origin, arguments = get_origin(hint), get_args(hint)
    kind = origin or hint
    if origin is Annotated:
        limits = [
            f"{symbol} {getattr(limit, name)}"
            for limit in arguments[1:]
            for name, symbol in BOUNDS.items()
            if getattr(limit, name, None) is not None
        ]
        return f"{describe(arguments[0])} {' and '.join(limits)}".strip()
    if origin in (Union, UnionType):
        # null is left out: the description is for a user who wrote another value.
        others = [member for member in arguments if member is not NoneType and get_origin(member) is not Literal]
        options = _options(hint)
        names = [*map(describe, others), *([describe(Literal[*options])] if options else [])]
        return " or ".join(dict.fromkeys(names))
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(repr, arguments))
    if kind is tuple and arguments and arguments[-1] is not ...:
        return f"a list of {len(arguments)}"
    if kind in SEQUENCES:
        return "a list"
    if kind in MAPPINGS:
        return "a mapping"
    if hint in (Any, object):
        return "a plain value"
    if kind is abc.Callable:
        return f"a function returning {describe(arguments[-1])}" if arguments else "a function"
    if kind in SCALARS:
        return SCALARS[kind]
    name = getattr(kind, "__name__", str(kind))
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _items(value: Any, hint: Any) -> list[tuple[str, Any, Any]] | None:
    """Return the items of a list or mapping with their path suffixes and types. Keys of a mapping are items, too.

    Returns:
        Tuples of path suffix, item and type. None if the value is no list or mapping, or the type does not take it.
    """
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    anything = kind in (Any, object)
    if type(value) is list and (anything or kind in SEQUENCES):
        if kind is tuple and arguments and arguments[-1] is not ...:
            if len(arguments) != len(value):
                return None
            hints = arguments
        else:
            hints = [arguments[0] if arguments else Any] * len(value)
        return [(f"[{i}]", item, item_hint) for i, (item, item_hint) in enumerate(zip(value, hints, strict=True))]
    if type(value) is dict and (anything or kind in MAPPINGS):
        key_hint, item_hint = arguments or (Any, Any)
        keys = [(f".{key}", key, key_hint) for key in value]
        return keys + [(f".{key}", item, item_hint) for key, item in value.items()]
    return None


def _members(hint: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself, without `Annotated`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from _members(arguments[0])
    elif origin in (Union, UnionType):
        for member in arguments:
            yield from _members(member)
    else:
        yield hint


def _options(hint: Any) -> list[Any]:
    return [option for member in _members(hint) if get_origin(member) is Literal for option in get_args(member)]


def _own_words(hint: Any, value: Any) -> str | None:
    """Return the message of the type's own validator if this validator refuses the value; else None."""
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        own = [each["msg"] for each in error.errors() if each["type"] == "value_error"]
        return own[0].removeprefix("Value error, ") if own else None
    except Exception:  # pydantic has no schema for this type
        return None
    return None


def _accepts(hint: Any, value: Any) -> bool:
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError:
        return False
    except Exception:  # pydantic has no schema for this type, or cannot compare the value with its limit
        return True
    return True
