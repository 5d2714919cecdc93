"""A check that the options chosen on the command line exist. It runs before Hydra composes the configuration."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from landbridge.errors import LandbridgeError, nearest

CHOICE = re.compile(r"^\+?([A-Za-z_]\w*)=(.*)$", re.DOTALL)
#: Hydra's own syntax in values: interpolation, functions such as `glob(*)`, quotes. Such values are not checked.
GRAMMAR = re.compile(r"[${(*'\"]")
#: Arguments that add options from other places, which only Hydra can find. With them, nothing is checked.
ELSEWHERE = ("hydra.searchpath=", "--config-path", "-cp")
#: Groups in which several options may be chosen at once, as `[one,other]`.
SEVERAL = frozenset({"experiment"})
#: Groups whose options may be joined to a union, as `one+other`.
JOINED = frozenset({"source", "target"})


def require_options(arguments: Sequence[str], options: Mapping[str, Sequence[str]]) -> None:
    """Refuse options that do not exist. The message lists all of them, each with the nearest option that exists.

    Args:
        arguments: arguments of the command line.
        options: the existing options of each config group.

    Raises:
        LandbridgeError: an option does not exist, or several options are chosen where only one is possible.
    """
    if any(argument.startswith(ELSEWHERE) for argument in arguments):
        return
    sweep = bool({"-m", "--multirun"} & {*arguments})
    problems: dict[str, str] = {}
    for argument in arguments:
        match = CHOICE.match(argument)
        if match and match[1] in options and not GRAMMAR.search(match[2]):
            for value, problem in _problems(match[1], match[2], options[match[1]], sweep):
                problems.setdefault(f"{match[1]}={value}", problem)
    if problems:
        width = max(map(len, problems)) + 3
        title = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} on the command line"
        raise LandbridgeError("\n".join([title, *(f"  {what:{width}}{why}" for what, why in problems.items())]))


def require_single(arguments: Sequence[str], groups: Collection[str]) -> None:
    """Refuse two options of one group, because Hydra would drop the first one without a word.

    A value that is set twice is allowed, as in most programs: the last one counts. Scripts append such settings.

    Args:
        arguments: arguments of the command line.
        groups: names of the config groups.

    Raises:
        LandbridgeError: names the options.
    """
    typed: dict[str, list[str]] = {}
    for argument in arguments:
        if (match := CHOICE.match(argument)) and match[1] in groups:
            typed.setdefault(match[1], []).append(argument.lstrip("+"))
    for group, each in typed.items():
        if len(set(each)) > 1:
            names = ",".join(one.partition("=")[2] for one in each)
            both = f"experiment=[{names}] combines both" if group in SEVERAL else f"-m {group}={names} runs both"
            raise LandbridgeError(f"{group} is chosen {len(each)} times: {' and '.join(each)}; keep one, or {both}")


def options_in(folders: Sequence[Path]) -> dict[str, list[str]]:
    """Return the options of every config group that has a folder: the names of its files.

    Example:
        The files `strategy/dann.yaml` and `hydra/job_logging/plain.yaml` give
        `{"hydra": ["job_logging/plain"], "strategy": ["dann"]}`.
    """
    options: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.glob("*/**/*.yaml"):
            group, *below = path.relative_to(folder).with_suffix("").parts
            options.setdefault(group, set()).add("/".join(below))
    return {group: sorted(names) for group, names in options.items()}


def _problems(group: str, value: str, options: Sequence[str], sweep: bool) -> Iterator[tuple[str, str]]:
    listed = f"; options: {', '.join(options)}"
    if value.startswith("[") and group not in SEVERAL and not sweep:
        yield value, f"takes one option; `-m {group}={value.strip('[]')}` runs one after the other"
        return
    if "," in value and not sweep and not value.startswith("["):
        yield value, "several options need a sweep: add -m"
        return
    names = [part.strip() for part in value.strip("[]").split(",")]
    if group in JOINED:
        names = [part for name in names for part in name.split("+")]
    for name in names:
        if name in options or (name == "null" and group in SEVERAL):
            continue
        best = nearest(name, options)
        yield name, "there is no such option" + (f"; nearest: {best}" if best else listed)
