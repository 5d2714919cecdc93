"""Hydra's flags, such as `--cfg job`: they are read once, and a wrong one is refused in one sentence."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser  # hydra.main reads the flags with this parser, too

from landbridge import __version__
from landbridge.errors import LandbridgeError, nearest

COMMANDS = ("run", "multirun", "cfg", "info", "shell_completion")
#: Flags of other programs that are settings here.
SETTINGS = {
    "--dry-run": "-m ... hydra.launcher.dry_run=true, which shows the jobs of a sweep",
    "--verbose": "hydra.verbose=true",
    "-v": "hydra.verbose=true",
    "-n": "hydra.launcher.n_jobs=...",
    "-j": "hydra.launcher.n_jobs=...",
}
#: Words that say what the flag for tab completion does.
COMPLETION = ("install=", "uninstall=", "query=")


def split_flags(arguments: Sequence[str], names: Iterable[str] = ()) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Divide the arguments of the command line into flags and overrides, in whatever order they are typed.

    Args:
        arguments: arguments of the command line.
        names: groups and settings, which a user may have typed as flags.

    Returns:
        The values of the flags, the arguments that are flags, and the arguments that are overrides.

    Raises:
        LandbridgeError: there is no such flag, or a flag lacks its value.
    """
    parser = get_args_parser()
    parser.error = _refuse
    # Otherwise, this flag would end the program here.
    asked = [argument for argument in arguments if argument != "--version"]
    values, unknown = parser.parse_known_intermixed_args(asked)
    if unknown:
        raise LandbridgeError(_no_such_flag(unknown[0], list(arguments), {*names}, parser._option_string_actions))
    overrides = list(values.overrides)
    flags, rest = [], overrides[::-1]
    for argument in arguments:
        if rest and argument == rest[-1]:
            rest.pop()
        else:
            flags.append(argument)
    return values, flags, overrides


def require_flags(values: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Refuse flags that do nothing together, or that landbridge does not support.

    Args:
        values: the values of the flags.
        overrides: the arguments that are overrides.

    Raises:
        LandbridgeError: says what to type.
    """
    chosen = [f"--{name.replace('_', '-')}" for name in COMMANDS if getattr(values, name)]
    if len(chosen) > 1:
        raise LandbridgeError(f"{' and '.join(chosen)} cannot be used together: choose one of them")
    for flag in ("resolve", "package"):
        if getattr(values, flag) and not (values.cfg or (values.help and flag == "resolve")):
            raise LandbridgeError(f"--{flag} changes what --cfg shows: type landbridge --cfg job --{flag} ...")
    if values.experimental_rerun:
        raise LandbridgeError(
            f"--experimental-rerun {values.experimental_rerun}: landbridge writes no such file; the report of a run "
            "shows the command that repeats it"
        )
    if values.shell_completion and not any(each.startswith(COMPLETION) for each in overrides):
        raise LandbridgeError("--shell-completion needs install=SHELL, uninstall=SHELL or query=SHELL, such as bash")
    if values.config_dir is not None and not (values.config_dir and Path(values.config_dir).is_dir()):
        raise LandbridgeError(f"--config-dir {values.config_dir or '(empty)'}: there is no such folder")
    if values.config_path and not (Path(values.config_path) / f"{values.config_name or 'train'}.yaml").is_file():
        raise LandbridgeError(
            f"--config-path {values.config_path} would replace landbridge's own configuration and holds no "
            f"{values.config_name or 'train'}.yaml: type --config-dir {values.config_path}, which adds a folder"
        )


def show_version(arguments: Sequence[str]) -> None:
    """Print the version and exit, if `--version` is among the arguments."""
    if "--version" in arguments:
        print(f"landbridge {__version__} (Hydra {hydra.__version__})")
        sys.exit(0)


def _refuse(message: str) -> NoReturn:
    place, _, reason = message.removeprefix("argument ").partition(": ")
    raise LandbridgeError(f"{place}: {reason or 'is refused'}; landbridge --hydra-help describes the flags")


def _no_such_flag(flag: str, arguments: list[str], names: set[str], flags: Iterable[str]) -> str:
    name, equals, value = flag.lstrip("-").partition("=")
    if name.partition(".")[0] in names:
        after = arguments[arguments.index(flag) + 1 :]
        if not equals and after and "=" not in after[0]:
            value = after[0]
        return f"{flag}: settings have no dashes; type {name}={shlex.quote(value) if value else '...'}"
    if instead := SETTINGS.get(flag):
        return f"{flag}: there is no such flag; type {instead}"
    best = nearest(flag, flags) if flag.startswith("--") else None
    return f"{flag}: there is no such flag" + (f"; nearest: {best}" if best else "; landbridge --hydra-help lists them")
