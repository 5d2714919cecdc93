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
#: What an interrupted or failed attempt has printed.
BEFORE = "console.before.log"
#: Hydra's own settings that concern the sweep and not its jobs.
OF_THE_SWEEP = ("launcher", "sweeper", "sweep", "mode", "run")

State = Literal["new", "killed", "done", "failed", "unreadable"]


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        number: in the order of the sweeper.
        overrides: of this job, as the sweeper gave them.
        composed: its configuration with Hydra's part.
        config: its configuration, resolved.
        faults: why it cannot run.
        folder: where it runs. Its name tells what the job is, so the same job has the same folder in every sweep.
        code: its exit code, once it has run; negative is the signal that killed it.
        seconds: that it took.
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
        """Return what the job has left behind, if it has left anything.

        Raises:
            LandbridgeError: it cannot be read.
        """
        return Record.read(self.folder) if (self.folder / RECORD).exists() else None

    def state(self) -> State:
        """Say how far the job is, read from its folder."""
        try:
            record = self.record()
        except LandbridgeError:
            return "unreadable"
        if record is None:
            return "new"
        if record.status == "failed":
            # Whoever was stopped from outside has not failed.
            return "killed" if (record.reason or "").startswith("interrupted") else "failed"
        return "done" if record.status == "done" else "killed"

    def reason(self) -> str:
        """Say in a line why the job is not done."""
        if self.faults:
            return self.faults
        try:
            record = self.record()
        except LandbridgeError as error:
            return f"{error}; delete the file to run the job again"
        if self.code is not None and self.code < 0:
            return f"killed by signal {-self.code}" + (", as by the system when memory is short" * (self.code == -9))
        if record and record.reason:
            return record.reason.removeprefix("LandbridgeError: ")
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), f"ended with code {self.code}")

    @property
    def log(self) -> Path:
        """The file with all that the job prints."""
        return self.folder / LOG

    @property
    def typed(self) -> list[str]:
        """The job's overrides as a user would type them."""
        return as_typed(self.overrides)

    def prepare(self) -> bool:
        """Make the job's folder, with an earlier log put aside; say whether that was possible."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.log.exists():
                self.log.replace(self.folder / BEFORE)
        except OSError as error:
            self.faults = f"cannot use the folder {self.folder}: {error.strerror}"
        return not self.faults

    def found(self) -> str:
        """Say in a few words what the job has found."""
        record = self.record()
        result = record.results.get("target", {}) if record else {}
        return f"target accuracy {result['accuracy']:.3f}" if "accuracy" in result else ""

    def command(self) -> list[str]:
        """Return the arguments of the plain command that runs this job alone."""
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
    """Return for each job's number the overrides in which it differs from the others; of a single job, all."""
    common = set.intersection(*({*job.typed} for job in jobs)) if len(jobs) > 1 else set()
    return {job.number: " ".join(each for each in job.typed if each not in common) or "(all)" for job in jobs}
