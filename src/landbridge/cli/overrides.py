"""Conversion of overrides from the form that users type to the form that Hydra needs, and back."""

import re
from collections.abc import Iterable, Sequence

from omegaconf import OmegaConf

from landbridge.cli.config_sources import DOMAIN, ROLES, TimmModels, conf_folder, config_folders
from landbridge.cli.flags import require_flags, split_flags
from landbridge.cli.grammar import grammar_problems, listed
from landbridge.cli.options import ELSEWHERE, OPTIONAL, name_problems, option_problems, options_in
from landbridge.errors import LandbridgeError

#: Overrides with which a user chooses no option of a group, and the form that Hydra needs.
NOTHING = {f"{group}=null": f"~{group}" for group in sorted(OPTIONAL)}
OVERRIDE = re.compile(r"^\+?([A-Za-z_]\w*)([.\w]*)=")
ADDED_CHOICE = re.compile(r"^\+{1,2}([A-Za-z_]\w*)(=.*)$", re.DOTALL)


def as_additions(arguments: Sequence[str]) -> list[str]:
    """Check overrides, and return them in a form that sets a value whether or not a YAML file lists the setting.

    `a.b=1` and `+a.b=1` become Hydra's `++a.b=1`. This is needed because defaults are in Python signatures, and YAML
    files contain only values that differ from them. So Hydra cannot test whether a setting exists. `check` tests it,
    and names the nearest existing setting. Choices of a group and Hydra's own settings are not changed, with one
    exception: `source=null` becomes Hydra's `~source`, and so for each group in `OPTIONAL`.

    Args:
        arguments: arguments of the command line. Flags may stand anywhere; they are first in the result.

    Raises:
        LandbridgeError: an override or a flag is wrong. The message lists all such overrides, and says what to type.
    """
    own = options_in([conf_folder()])
    facts = frozenset(map(str, OmegaConf.load(conf_folder() / "train.yaml"))) - {"defaults", "hydra"}
    values, flags, overrides = split_flags(arguments, {*own, *ROLES, *facts})
    require_flags(values, overrides)
    if values.shell_completion:
        return list(arguments)  # arguments such as `install=bash` are no overrides
    options = options_in(config_folders(flags))
    for each in (own, options):
        each |= dict.fromkeys(ROLES, each[DOMAIN])
        del each[DOMAIN]
    sweep = bool(values.multirun) or "hydra.mode=MULTIRUN" in overrides
    problems, sound = grammar_problems(overrides, options, facts, sweep)
    if not any(argument.startswith(ELSEWHERE) for argument in arguments):
        chosen = [each for each in sound if each not in NOTHING]
        problems |= option_problems(chosen, options, sweep, TimmModels.groups)
        problems |= name_problems(sound, options.keys() | facts)
    for argument in sound:
        if (match := ADDED_CHOICE.match(argument)) and match[1] in own and f"{match[1]}{match[2]}" not in problems:
            problems[argument] = f"a choice has no plus sign; type {match[1]}{match[2]}"
    if problems:
        raise LandbridgeError("\n".join(listed(problems)))

    def addition(argument: str) -> str:
        match = OVERRIDE.match(argument)
        if argument in NOTHING:
            return NOTHING[argument]
        if not match or match[1] == "hydra" or (not match[2] and match[1] in options):
            return argument
        return f"++{argument.removeprefix('+')}"

    return [*flags, *map(addition, overrides)]


def as_typed(overrides: Iterable[str]) -> list[str]:
    """Return overrides in the form that users type; the opposite of `as_additions`."""
    none = {hydra: typed for typed, hydra in NOTHING.items()}
    return [none.get(override, override.removeprefix("++")) for override in overrides]
