"""A check that the options chosen on the command line exist. It runs before Hydra composes the configuration."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path

from landbridge.errors import nearest

CHOICE = re.compile(r"^\+?([A-Za-z_]\w*)=(.*)$", re.DOTALL)
#: Hydra's own syntax in values: interpolation, functions such as `glob(*)`, quotes. Such values are not checked.
GRAMMAR = re.compile(r"[${(*'\"]")
#: The first part of the name of a group or a setting.
ROOT = re.compile(r"^[+~]*([A-Za-z_]\w*)[\w./@-]*=")
#: Arguments that add options from other places, which only Hydra can find. With them, nothing is checked.
ELSEWHERE = ("hydra.searchpath=", "--config-path", "-cp")
#: Groups in which several options may be chosen at once, as `[one,other]`.
SEVERAL = frozenset({"experiment"})
#: Groups of which a run may have none, as `source=null`.
OPTIONAL = frozenset({"source", "tuning", "averaging", "logger"})
#: Groups whose options may be joined to a union, as `one+other`.
JOINED = frozenset({"source", "target"})


def option_problems(
    arguments: Sequence[str], options: Mapping[str, Sequence[str]], sweep: bool, endless: Collection[str] = ()
) -> dict[str, str]:
    """Find options that do not exist, and several options where only one is possible.

    Args:
        arguments: overrides of the command line.
        options: the existing options of each config group.
        sweep: whether several options of a group are several jobs.
        endless: groups that also have options without a file.

    Returns:
        For each problem, what was typed, and a message with the nearest option that exists.
    """
    problems: dict[str, str] = {}
    for argument in arguments:
        match = CHOICE.match(argument)
        if match and match[1] in options and not GRAMMAR.search(match[2]):
            for value, problem in _problems(match[1], match[2], options[match[1]], sweep, match[1] in endless):
                problems.setdefault(f"{match[1]}={value}", problem)
    return problems


def name_problems(arguments: Sequence[str], names: Set[str]) -> dict[str, str]:
    """Find overrides of groups and settings that do not exist.

    Args:
        arguments: overrides of the command line.
        names: the existing names at the root.

    Returns:
        For each problem, what was typed, and a message with the nearest name that exists.
    """
    problems = {}
    for argument in arguments:
        match = ROOT.match(argument)
        if match and match[1] not in names:
            best = nearest(match[1], names)
            problems[argument] = "landbridge has no such setting" + (f"; nearest: {best}" if best else "")
    return problems


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


def _problems(group: str, value: str, options: Sequence[str], sweep: bool, endless: bool) -> Iterator[tuple[str, str]]:
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
        if name in options or (endless and name) or (name == "null" and group in SEVERAL | OPTIONAL):
            continue
        best = nearest(name, options)
        yield name, "there is no such option" + (f"; nearest: {best}" if best else listed)
