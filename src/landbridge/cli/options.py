"""A check that the options chosen on the command line exist. It runs before Hydra composes the configuration."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path

from landbridge.errors import LandbridgeError, nearest

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
OPTIONAL = frozenset({"source", "bottleneck", "tuning", "averaging", "augment", "logger", "callbacks"})
#: Names that other programs have for a setting, and its place here.
USUAL = {
    **dict.fromkeys(("batch_size", "bs", "batchsize"), "data.batch_size"),
    **dict.fromkeys(("lr", "learning_rate"), "optimizer.lr"),
    **dict.fromkeys(("epochs", "epoch", "max_epochs", "num_epochs"), "trainer.max_epochs"),
    **dict.fromkeys(("device", "accelerator", "cuda"), "trainer.accelerator"),
    **dict.fromkeys(("gpus", "gpu", "devices"), "trainer.devices"),
    **dict.fromkeys(("workers", "num_workers"), "data.workers"),
    **dict.fromkeys(("model", "arch", "network"), "backbone"),
    **dict.fromkeys(("dataset", "data_dir", "root", "path"), "target=image_folder target.root=..."),
    **dict.fromkeys(("pretrained", "weights"), "start=pretrained"),
    **dict.fromkeys(("checkpoint", "resume", "ckpt"), "start=checkpoint start.path=..."),
    **dict.fromkeys(("method", "algorithm", "loss"), "strategy"),
    **dict.fromkeys(("output", "output_dir", "out", "save_dir"), "hydra.run.dir"),
}
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
            best = USUAL.get(match[1]) or nearest(match[1], names)
            problems[argument] = "landbridge has no such setting" + (f"; nearest: {best}" if best else "")
    return problems


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


def _problems(group: str, value: str, options: Sequence[str], sweep: bool, endless: bool) -> Iterator[tuple[str, str]]:
    listed = f"; options: {', '.join(options)}" + ", and the names of timm's models" * endless
    if value.startswith("[") and group not in SEVERAL and not sweep:
        yield value, f"takes one option; `-m {group}={value.strip('[]')}` runs one after the other"
        return
    if "," in value and not sweep and not value.startswith("["):
        yield value, "several options need a sweep: add -m"
        return
    names = [part.strip() for part in value.strip("[]").split(",")]
    if group in JOINED:
        for name in names:
            parts = name.split("+")
            if "" in parts and len(parts) > 1:
                yield name, "a name is missing beside the plus sign"
                return
            if twice := [part for part in parts if parts.count(part) > 1]:
                yield name, f"{twice[0]} is named twice; a union holds each domain once"
                return
        names = [part for name in names for part in name.split("+")]
    for name in names:
        none = name == "null" and group in SEVERAL | OPTIONAL
        if name in options or none or (endless and name and "/" not in name):
            continue
        if group in JOINED and (kind := _kind_of_path(name, options)):
            key = "root" if kind == "image_folder" else "file"
            yield name, f"this is a path; type {group}={kind} {group}.{key}={name}"
            continue
        best = nearest(name.rpartition("/")[2], options)
        yield name, "there is no such option" + (f"; nearest: {best}" if best else listed)


def _kind_of_path(name: str, options: Sequence[str]) -> str | None:
    """Return the domain that reads a file or folder, if a name looks like the path of one."""
    kinds = {".csv": "table", ".tsv": "table", ".parquet": "table", ".jsonl": "table", ".npz": "vectors"}
    kind = kinds.get(Path(name).suffix, "image_folder" if "/" in name or Path(name).is_dir() else "")
    return kind if kind in options else None
