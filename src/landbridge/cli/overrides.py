"""Conversion of overrides from the form that users type to the form that Hydra needs, and back."""

import re
from collections.abc import Iterable, Sequence

from landbridge.cli.config_sources import DOMAIN, ROLES, TimmModels, config_folders
from landbridge.cli.options import options_in, require_options

#: Overrides with which a user chooses no source or no logger.
NOTHING = ("source=null", "logger=null")
OVERRIDE = re.compile(r"^\+?([A-Za-z_]\w*)([.\w]*)=")


def as_additions(arguments: Sequence[str]) -> list[str]:
    """Return overrides in a form that sets a value whether or not a YAML file lists the setting.

    `a.b=1` and `+a.b=1` become Hydra's `++a.b=1`. This is needed because defaults are in Python signatures, and YAML
    files contain only values that differ from them. So Hydra cannot test whether a setting exists. `check` tests it,
    and names the nearest existing setting. Choices of a group and Hydra's own settings are not changed, with one
    exception: `source=null` and `logger=null` become Hydra's `~source` and `~logger`.

    Raises:
        LandbridgeError: a chosen option does not exist.
    """
    if {"--shell-completion", "-sc"} & set(arguments):
        return list(arguments)  # arguments such as `install=bash` are no overrides
    options = options_in(config_folders(arguments))
    options |= dict.fromkeys(ROLES, options.pop(DOMAIN))
    required = {group: names for group, names in options.items() if group not in TimmModels.groups}
    arguments = [f"~{argument[:-5]}" if argument in NOTHING else argument for argument in arguments]
    require_options(arguments, required)

    def addition(argument: str) -> str:
        match = OVERRIDE.match(argument)
        if not match or match[1] == "hydra":
            return argument
        if not match[2] and match[1] in options:
            return argument
        return f"++{argument.removeprefix('+')}"

    return [addition(argument) for argument in arguments]


def as_typed(overrides: Iterable[str]) -> list[str]:
    """Remove the prefix `++` that `as_additions` adds, for records."""
    return [override.removeprefix("++") for override in overrides]
