"""Overrides as a user types them, and as Hydra wants them."""

import re
from collections.abc import Iterable, Sequence

from landbridge.cli.config_sources import DOMAIN, ROLES, TimmModels, config_folders
from landbridge.cli.options import options_in, require_options

#: How a user may say that a run has no source or no logger.
NOTHING = ("source=null", "logger=null")
OVERRIDE = re.compile(r"^\+?([A-Za-z_]\w*)([.\w]*)=")


def as_additions(arguments: Sequence[str]) -> list[str]:
    """Let a setting be typed whether or not a YAML file lists it: `a.b=1` and `+a.b=1` become Hydra's `++a.b=1`.

    Defaults live in Python signatures and YAML files hold only what differs, so Hydra itself cannot know which settings
    exist; `check` does, and names the nearest one. Choices of a group and Hydra's own settings stay as they are, but
    that `source=null` and `logger=null` become Hydra's `~source` and `~logger`.

    Raises:
        LandbridgeError: a chosen option does not exist.
    """
    if {"--shell-completion", "-sc"} & set(arguments):
        return list(arguments)  # these have words of their own
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
    """Undo `as_additions`, for records."""
    return [override.removeprefix("++") for override in overrides]
