"""The grid of jobs that `-m` runs: every combination of the listed values."""

import itertools
import logging
import sys
from collections.abc import Mapping, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from landbridge.cli.overrides import NOTHING, as_additions
from landbridge.errors import LandbridgeError

log = logging.getLogger(__name__)


def sweep(
    loader: ConfigLoader,
    launcher: Launcher,
    params: Mapping[str, str],
    arguments: Sequence[str],
    distinct: Sequence[str],
) -> Sequence[JobReturn]:
    """Launch every job of the grid in one batch, and exit with code 1 if a job has failed.

    Args:
        loader: lists the options of config groups; `glob(...)` needs it.
        launcher: runs the jobs.
        params: axes of an experiment file, by name. They are written as on the command line, without Hydra's `++`.
        arguments: overrides of the command line. They replace axes of the same name.
        distinct: names of axes. Jobs that have the same value on all of these axes are left out.
    """
    _, *typed = as_additions(["-m", *(f"{name}={values}" for name, values in params.items())])
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*typed, *arguments])
    jobs = grid(parsed)
    kept = [job for job in jobs if not _alike(job, distinct)]
    if dropped := len(jobs) - len(kept):
        log.info("left out %d of %d jobs, where %s are equal", dropped, len(jobs), " and ".join(distinct))
    results = launcher.launch(kept, initial_job_idx=0) if kept else []
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
        else:
            typed = (override.input_line or key).removeprefix("++")
            raise LandbridgeError(
                f"{typed}: an interval has infinitely many values; list the values, or use range(...)"
            )
    return [list(job) for job in itertools.product(*axes.values())]


def _alike(job: Sequence[str], distinct: Sequence[str]) -> bool:
    values = dict(override.removeprefix("++").split("=", 1) for override in job if "=" in override)
    return len(distinct) > 1 and len({values.get(name) for name in distinct}) == 1 and distinct[0] in values
