"""Units of a sweep: what one process runs, a single job or a pack of jobs that train together."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig

from landbridge.cli.overrides import as_typed
from landbridge.packs.plan import groups
from landbridge.sweeps.job import Job

#: Folder, in that of the sweep, for the lists of members of packs and the output of their processes.
PACKS = ".packs"
#: Largest number of members that `pack=auto` puts into one pack: every member has a thread and a trainer of its own.
MOST = 100


@dataclass
class Unit:
    """Jobs that one process runs.

    Attributes:
        jobs: one job, or the members of a pack.
        folder: of the sweep.
    """

    jobs: list[Job]
    folder: Path

    @property
    def name(self) -> str:
        """Its name for the helper process."""
        return str(self.jobs[0].number)

    def prepare(self) -> list[Job]:
        """Prepare the folders of all jobs. Return the jobs for which this failed; they are no part of it any more."""
        refused = [job for job in self.jobs if not job.prepare()]
        self.jobs = [job for job in self.jobs if job not in refused]
        return refused

    def command(self) -> tuple[str, list[str], Path]:
        """Return the module that runs it, the arguments of the module, and the file for the output of the process."""
        if len(self.jobs) == 1:
            return "landbridge", self.jobs[0].command(), self.jobs[0].log
        packs = self.folder / PACKS
        packs.mkdir(exist_ok=True)
        listed = packs / f"{self.jobs[0].folder.name}.jsonl"
        listed.write_text("".join(json.dumps(_work(job)) + "\n" for job in self.jobs))
        return "landbridge.packs", [str(listed)], listed.with_suffix(".log")

    def ends(self, code: int, seconds: float) -> None:
        """Note how the process has ended, for every job."""
        for job in self.jobs:
            job.code, job.seconds = code, seconds / len(self.jobs)


def in_units(jobs: Sequence[Job], folder: Path, pack: str | int, at_once: int) -> tuple[list[Unit], list[str]]:
    """Divide jobs into units, in the order of their first jobs.

    Args:
        jobs: jobs to run.
        folder: of the sweep.
        pack: `off`, `auto`, or the largest number of jobs in a pack.
        at_once: number of units that run at the same time; `auto` makes so many packs of each group.

    Returns:
        the units, and lines that say which jobs are packed, and why others are not.
    """
    if pack == "off":
        return [Unit([job], folder) for job in jobs], []
    known = {job.number: job for job in jobs}
    alike, others = groups({job.number: job.config for job in jobs})
    packs = []
    for group in alike:
        size = pack if isinstance(pack, int) else min(MOST, math.ceil(len(group) / at_once))
        packs += [group[first : first + size] for first in range(0, len(group), size)]
    together = [members for members in packs if len(members) > 1]
    alone = [members for members in packs if len(members) == 1] + [[each] for each in chain(*others.values())]
    units = [Unit([known[number] for number in members], folder) for members in sorted(together + alone)]
    counts = {reason: len(numbers) for reason, numbers in others.items()}
    if lonely := len(packs) - len(together):
        counts["no other job to run fits"] = lonely
    lines = [f"{sum(map(len, together))} train in {len(together)} pack{'s' * (len(together) > 1)}"] if together else []
    return units, lines + [f"{count} run alone: {reason}" for reason, count in counts.items()]


def _work(job: Job) -> dict[str, Any]:
    """Return what the process of a pack needs of a job; see `landbridge.packs.pack.Work`."""
    hydra = cast(DictConfig, job.composed).hydra
    choices = {group: choice for group, choice in hydra.runtime.choices.items() if choice and "/" not in group}
    return {
        "config": job.config,
        "folder": str(job.folder),
        "overrides": as_typed(hydra.overrides.task),
        "choices": choices,
    }
