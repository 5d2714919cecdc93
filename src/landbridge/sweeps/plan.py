"""The plan of a sweep: all jobs are composed and checked before the first one starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from landbridge.cli.folder_names import name_as_typed
from landbridge.cli.hydra_messages import in_one_sentence
from landbridge.errors import LandbridgeError
from landbridge.sweeps.job import Job, varying
from landbridge.sweeps.pool import Pool


def plan(
    loader: ConfigLoader, master: DictConfig, overrides: Sequence[Sequence[str]], first: int, pool: Pool
) -> list[Job]:
    """Compose and check all jobs, and set the folder of each job.

    Args:
        loader: composes the configurations.
        master: the sweep's own configuration.
        overrides: the overrides of each job.
        first: the number of the first job.
        pool: its helper process checks the configurations.

    Raises:
        LandbridgeError: jobs have faults. The message lists all faults.
    """
    jobs = [_compose(loader, master, list(each), first + place) for place, each in enumerate(overrides)]
    sound = [job for job in jobs if not job.faults]
    for job, (identity, faults) in zip(sound, pool.identities([job.config for job in sound]), strict=True):
        job.faults = faults
        if identity:
            job.folder = _folder(job, identity)
    if any(job.faults for job in jobs):
        raise LandbridgeError(_faults(jobs))
    return jobs


def once(jobs: Sequence[Job]) -> dict[int, Job]:
    """Return, for each job's number, the job that runs for it: the first job with the same folder.

    Example:
        Jobs 0 and 1 have the same folder, and job 2 has another. The result is `{0: job 0, 1: job 0, 2: job 2}`.
    """
    first: dict[Path, Job] = {}
    return {job.number: first.setdefault(job.folder, job) for job in jobs}


def _compose(loader: ConfigLoader, master: DictConfig, overrides: list[str], number: int) -> Job:
    job = Job(number, overrides)
    before = HydraConfig.instance().cfg
    try:
        job.composed = loader.load_sweep_config(master, overrides)
        with read_write(job.composed.hydra), open_dict(job.composed.hydra):
            job.composed.hydra.job.num = number
        name_as_typed(job.composed)
        HydraConfig.instance().set_config(job.composed)  # interpolations may refer to Hydra's values
        config: Any = OmegaConf.to_container(task_config(job.composed), resolve=True)
        job.config = config
    except (HydraException, OmegaConfBaseException) as error:
        job.faults = in_one_sentence(str(error)).strip()
    finally:
        HydraConfig.instance().cfg = before
    return job


def task_config(composed: DictConfig) -> DictConfig:
    """Return a composed configuration without the `hydra` node."""
    cfg = composed.copy()
    with read_write(cfg), open_dict(cfg):
        del cfg["hydra"]
    return cfg


def _folder(job: Job, identity: str) -> Path:
    """Return the job's folder. It is `hydra.sweep.subdir`, by default the identity, in the folder of the sweep."""
    composed = cast(DictConfig, job.composed)
    with read_write(composed.hydra), open_dict(composed.hydra):
        composed.hydra.job.id = identity
    return Path.cwd() / composed.hydra.sweep.dir / composed.hydra.sweep.subdir


def _faults(jobs: Sequence[Job]) -> str:
    """Return a message that lists each fault once, with the jobs that have it."""
    names, having = varying(jobs), {}
    for job in jobs:
        if job.faults:
            having.setdefault(job.faults, []).append(job)
    number = sum(map(len, having.values()))
    lines = [f"{number} of {len(jobs)} jobs cannot run, so none was started"]
    for faults, group in having.items():
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        lines += [f"{names[group[0].number]}{more}:", *(f"  {line}" for line in faults.splitlines())]
    return "\n".join(lines)
