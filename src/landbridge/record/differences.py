"""Says in which settings two runs differ."""

from collections.abc import Mapping, Set
from typing import Any

from landbridge.record.identity import INCIDENTAL

#: How many settings are named.
NAMED = 3
_ABSENT = object()


def differences(here: Mapping[str, Any], there: Mapping[str, Any], ignored: Set[str] = frozenset()) -> str:
    """Return the first decisive settings in which two resolved configurations differ, with both values.

    Args:
        here: the configuration of a new run.
        there: the one in a record.
        ignored: groups without effect on the strategy.
    """
    new, old = flat(here), flat(there)
    different = [key for key in sorted(new | old) if new.get(key, _ABSENT) != old.get(key, _ABSENT)]
    different = [key for key in different if key.partition(".")[0] not in ignored]
    if not different:
        return "its data, the files that it starts from, or a default of the code has changed"
    more = f", and {len(different) - NAMED} more" if len(different) > NAMED else ""
    return ", ".join(f"{key} is {old.get(key)} there and {new.get(key)} here" for key in different[:NAMED]) + more


def flat(node: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Return the decisive settings by dotted name."""
    settings: dict[str, Any] = {}
    for key, value in node.items():
        if key in INCIDENTAL.get(name, ()):
            continue
        dotted = f"{name}.{key}" if name else key
        if isinstance(value, Mapping) and value:
            settings |= flat(value, dotted)
        elif value is not None:
            settings[dotted] = value
    return settings
