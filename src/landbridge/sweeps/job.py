"""A job: one run of a sweep, its folder, and the command that runs it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from landbridge.cli.overrides import as_typed
from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, Record

LOG = "console.log"
#: The log of the previous attempt, which was interrupted or failed.
BEFORE = "console.before.log"
#: Hydra's own settings that apply to the sweep and not to its jobs.
OF_THE_SWEEP = ("launcher", "sweeper", "sweep", "mode", "run")

State = Literal["new", "killed", "done", "failed", "unreadable"]


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        number: number of the job, in the order of the sweeper.
        overrides: overrides of this job, as the sweeper passed them.
        composed: the job's configuration with the `hydra` node.
        config: the job's configuration without the `hydra` node, resolved.
        faults: why the job cannot run; None if it can.
        folder: where the job runs. The name comes from the job's identity: a job has the same folder in every sweep.
        code: exit code of a job that has ended; a negative code is the signal that killed it.
        seconds: how long the job took.
    """

    number: int
    overrides: list[str]
    composed: DictConfig | None = None
    config: dict[str, Any] = field(default_factory=dict)
    faults: str | None = None
    folder: Path = Path()
    code: int | None = None
    seconds: float = 0.0

    def record(self) -> Record | None:
        """Return the record in the job's folder, or None if there is none.

        Raises:
            LandbridgeError: the record cannot be read.
        """
        return Record.read(self.folder) if (self.folder / RECORD).exists() else None

    def state(self) -> State:
        """Return the state of the job, as its folder shows it."""
        try:
            record = self.record()
        except LandbridgeError:
            return "unreadable"
        if record is None:
            return "new"
        if record.status == "failed":
            # A job that was stopped from outside has not failed.
            return "killed" if (record.reason or "").startswith("interrupted") else "failed"
        return "done" if record.status == "done" else "killed"

    def reason(self) -> str:
        """Return in one line why the job is not done."""
        if self.faults:
            return self.faults
        try:
            record = self.record()
        except LandbridgeError as error:
            return f"{error}; delete the file to run the job again"
        if self.code is not None and self.code < 0:
            return f"killed by signal {-self.code}" + (" (as the system does when memory is short)" * (self.code == -9))
        if record and record.reason:
            return record.reason.removeprefix("LandbridgeError: ")
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), f"ended with code {self.code}")

    @property
    def log(self) -> Path:
        """The file with the output of the job."""
        return self.folder / LOG

    @property
    def typed(self) -> list[str]:
        """The job's overrides as a user would type them."""
        return as_typed(self.overrides)

    def prepare(self) -> bool:
        """Make the job's folder, rename an earlier log, and return whether this succeeded. If not, set `faults`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.log.exists():
                self.log.replace(self.folder / BEFORE)
        except OSError as error:
            self.faults = f"cannot use the folder {self.folder}: {error.strerror}"
        return not self.faults

    def found(self) -> str:
        """Return the result of the job in a few words."""
        record = self.record()
        result = record.results.get("target", {}) if record else {}
        return f"target accuracy {result['accuracy']:.3f}" if "accuracy" in result else ""

    def command(self) -> list[str]:
        """Return the command-line arguments of a single run that does this job."""
        assert self.composed is not None
        hydra = self.composed.hydra
        flags = []
        for source in hydra.runtime.config_sources:
            if source.provider == "command-line":
                flags += ["--config-dir", source.path]
        if hydra.job.config_name != "train":
            flags += ["--config-name", hydra.job.config_name]
        folder = str(self.folder).replace("'", r"\'")
        kept = [each for each in hydra.overrides.hydra if not _of_the_sweep(each)]
        return [*flags, *self.overrides, *kept, "hydra.mode=RUN", f"hydra.run.dir='{folder}'"]


def _of_the_sweep(override: str) -> bool:
    key = override.lstrip("+~").removeprefix("hydra")[1:].partition("=")[0]
    return key.partition(".")[0] in OF_THE_SWEEP


def varying(jobs: Sequence[Job]) -> dict[int, str]:
    """Return, by job number, the overrides in which a job differs from the others; for a single job, all overrides.

    Example:
        Job 0 with `seed=1 strategy=dann` and job 1 with `seed=2 strategy=dann` give `{0: "seed=1", 1: "seed=2"}`.
    """
    common = set.intersection(*({*job.typed} for job in jobs)) if len(jobs) > 1 else set()
    return {job.number: " ".join(each for each in job.typed if each not in common) or "(all)" for job in jobs}
