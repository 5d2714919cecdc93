"""The grid of jobs that `-m` runs: every combination of the listed values."""

import itertools
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from landbridge.cli.overrides import NOTHING, as_additions
from landbridge.errors import LandbridgeError, nearest

log = logging.getLogger(__name__)

#: Settings of a domain that are paths of its data.
PATHS = ("root", "file")
#: Groups that a job may leave out: `source=null`.
NULLABLE = ("source", "logger")


def sweep(
    loader: ConfigLoader,
    master: DictConfig,
    launcher: Launcher,
    params: Mapping[str, str],
    arguments: Sequence[str],
    distinct: Sequence[str],
) -> Sequence[JobReturn]:
    """Launch every job of the grid in one batch, and exit with code 1 if a job has failed.

    Args:
        loader: lists the options of config groups; `glob(...)` needs it.
        master: the sweep's own configuration.
        launcher: runs the jobs.
        params: axes of an experiment file, by name. They are written as on the command line, without Hydra's `++`.
        arguments: overrides of the command line. They replace axes of the same name.
        distinct: names of settings or groups. Jobs in which all of these are equal are left out.

    Raises:
        LandbridgeError: there is no job, or `distinct` names what no job has.
    """
    _, *typed = as_additions(["-m", *(f"{name}={values}" for name, values in params.items())])
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*typed, *arguments])
    jobs = grid(parsed)
    kept = [job for job in jobs if not alike(_composed(loader, master, job), distinct)] if distinct else jobs
    if not kept:
        raise LandbridgeError(f"hydra.sweeper.distinct: no job is left, because {' and '.join(distinct)} are equal")
    if dropped := len(jobs) - len(kept):
        log.info("left out %d of %d jobs, where %s are equal", dropped, len(jobs), " and ".join(distinct))
    results = launcher.launch(kept, initial_job_idx=0)
    if any(result.status != JobStatus.COMPLETED for result in results):
        sys.exit(1)
    return results


def grid(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: one value of each axis, where the last axis varies fastest.

    Example:
        `seed=1,2 name=x lr=0.1,0.2` gives four jobs. The first two are `[seed=1, name=x, lr=0.1]` and
        `[seed=1, name=x, lr=0.2]`.
    """
    axes: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
            axes[key] = [NOTHING.get(value, value) for value in values]
            if not values:
                typed = (override.input_line or key).removeprefix("++")
                raise LandbridgeError(f"{typed}: this axis has no value, so there is no job; list values")
        else:
            typed = (override.input_line or key).removeprefix("++")
            raise LandbridgeError(
                f"{typed}: an interval has infinitely many values; list the values, or use range(...)"
            )
    return [list(job) for job in itertools.product(*axes.values())]


def _composed(loader: ConfigLoader, master: DictConfig, job: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a job as plain values. A faulty job has none, and the launcher names its fault."""
    try:
        composed: Any = OmegaConf.to_container(loader.load_sweep_config(master, list(job)))
    except (HydraException, OmegaConfBaseException):
        return {}
    return composed


def alike(config: Mapping[str, Any], distinct: Sequence[str]) -> bool:
    """Return whether all of some parts of a configuration are equal, apart from their names.

    Example:
        Two image folders are equal if they have the same `root` (links and relative paths are followed) and the same
        settings, whatever `name` they have.

    Args:
        config: as plain values.
        distinct: dotted names of the parts.

    Raises:
        LandbridgeError: the configuration has no such part, or there are fewer than two names.
    """
    if len(distinct) < 2:
        raise LandbridgeError("hydra.sweeper.distinct: set two names or more, such as [source, target]")
    if not config:
        return False
    parts = [_part(config, name) for name in distinct]
    return all(part == parts[0] for part in parts)


def _part(config: Mapping[str, Any], name: str) -> Any:
    node: Any = config
    for step in name.split("."):
        if not isinstance(node, Mapping) or step not in node:
            if step in NULLABLE:
                return None
            known = sorted(str(key) for key in config if key != "hydra")
            hint = nearest(name, known)
            raise LandbridgeError(
                f"hydra.sweeper.distinct: no job has '{name}'" + (f"; nearest: {hint}" if hint else "")
            )
        node = node[step]
    return _plain(node)


def _plain(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    paths = {key: str(Path(node[key]).expanduser().resolve()) for key in PATHS if isinstance(node.get(key), str)}
    # Where data are read from a path, the name is only a label.
    return {key: _plain(value) for key, value in node.items() if not (paths and key == "name")} | paths
