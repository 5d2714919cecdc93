"""Jobs on a cluster: each is a Slurm job that runs the plain command of a single run, submitted through submitit."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landbridge.errors import LandbridgeError
from landbridge.sweeps.helper import job_environment
from landbridge.sweeps.job import Job
from landbridge.sweeps.lock import lock
from landbridge.sweeps.options import Options
from landbridge.sweeps.pool import Pool
from landbridge.sweeps.slots import THREADS
from landbridge.sweeps.view import View

try:
    import submitit
    from submitit.helpers import DelayedSubmission
except ImportError as error:
    raise LandbridgeError("hydra/launcher=slurm needs submitit: pip install 'landbridge[slurm]'") from error

log = logging.getLogger(__name__)

#: Seconds between two looks at the queue, and those that a job has to end by itself once it is told to.
LOOK = {"slurm": 10.0, "local": 0.2}
GRACE = 20.0


@dataclass(frozen=True)
class SlurmOptions:
    """Settings of `hydra/launcher=slurm`.

    Attributes:
        n_jobs: how many jobs Slurm may run at the same time.
        timeout_min: minutes after which Slurm ends a job. It is queued again and goes on from its last checkpoint.
        requeues: how often that may happen to a job. Being preempted does not count.
        nodes: of a job.
        tasks_per_node: processes of a job on each node; as many as `trainer.devices`.
        cpus_per_task: cores of each process, and its number of threads.
        gpus_per_node: of a job.
        mem_gb: memory of a job on each node; None takes the cluster's default.
        partition: where to queue; None takes the cluster's default.
        more: further parameters of submitit, such as `{slurm_qos: long}`.
        retry_failed: whether jobs that failed in an earlier call run again.
        dry_run: whether to compose and check all jobs, print their table, and start none.
        cluster: `local` runs the jobs on this machine, to try things out.
    """

    n_jobs: int = 100
    timeout_min: int = 240
    requeues: int = 10
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 4
    gpus_per_node: int = 0
    mem_gb: float | None = None
    partition: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    retry_failed: bool = False
    dry_run: bool = False
    cluster: str = "slurm"

    def __post_init__(self) -> None:
        if self.cluster not in LOOK:
            raise LandbridgeError(f"hydra.launcher.cluster={self.cluster}: one of {', '.join(LOOK)}")

    def parameters(self) -> dict[str, Any]:
        """Return the settings in submitit's words."""
        names = ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb")
        given = {name: getattr(self, name) for name in names}
        given |= {"slurm_partition": self.partition, "slurm_array_parallelism": self.n_jobs}
        return {name: value for name, value in given.items() if value is not None} | dict(self.more)


class SlurmPool(Pool):
    """Submits jobs, and watches them until they have ended.

    Args:
        folder: of the sweep.
        options: of the launcher.

    Raises:
        LandbridgeError: another sweep runs in the folder, or there is no such cluster here.
    """

    def __init__(self, folder: Path, options: SlurmOptions) -> None:
        self.options = options
        try:
            limit = {f"{options.cluster}_max_num_timeout": options.requeues}
            self.executor = submitit.AutoExecutor(folder / ".submitit", cluster=options.cluster, **limit)
            self.executor.update_parameters(**options.parameters())
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise LandbridgeError(f"hydra/launcher=slurm: {error}") from error
        # The helper checks configurations here; it starts no job.
        super().__init__(folder, Options(warm=False))
        self.submitted: dict[int, submitit.Job[int]] = {}

    def run(self, jobs: Sequence[Job], names: Mapping[int, str]) -> None:
        """Submit jobs, and wait until none is left."""
        threads: dict[str, str] = {name: str(self.options.cpus_per_task) for name in THREADS}
        with View(len(jobs), self.options.n_jobs) as view:
            ready = []
            for job in jobs:
                if job.prepare():
                    ready.append(job)
                else:
                    view.ends(names[job.number], job)
            with self.executor.batch():
                for job in ready:
                    command = Command(job.command(), threads, job.folder, job.log)
                    self.submitted[job.number] = self.executor.submit(command)
                    view.starts()
            began = time.monotonic()
            while ready:
                for job in [job for job in ready if self.submitted[job.number].done()]:
                    ready.remove(job)
                    submitted = self.submitted.pop(job.number)
                    job.code = 1 if submitted.exception() else submitted.result()
                    job.seconds = time.monotonic() - began
                    view.ends(names[job.number], job)
                time.sleep(LOOK[self.options.cluster])

    def stop(self) -> None:
        """Cancel all jobs, and close."""
        for submitted in self.submitted.values():
            submitted.cancel()
        super().stop()


class Command:
    """What a Slurm job does: run a command; when it has to make room, stop the command and be queued again.

    Args:
        arguments: of the single run.
        threads: environment variables that set the number of threads.
        folder: of the run.
        log: where its output goes.
    """

    def __init__(self, arguments: list[str], threads: dict[str, str], folder: Path, log: Path) -> None:
        self.arguments = arguments
        self.threads = threads
        self.folder = folder
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the command, and return its exit code."""
        # Jobs that a sweep has left in the queue and those of the next must not meet in one folder.
        first = submitit.JobEnvironment().global_rank == 0
        descriptor = lock(self.folder) if first else None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "landbridge", *self.arguments],
                env=job_environment(self.threads),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Slurm sends the signal that announces the end to this process and to the command.
                preexec_fn=_leave_the_announcement_to_submitit,
            )
            code = self.process.wait()
        if descriptor is not None:
            os.close(descriptor)
        return code

    def checkpoint(self) -> DelayedSubmission:
        """Stop the command, whose last checkpoint is on disk; submitit queues what is returned."""
        if self.process:
            self.process.terminate()
            deadline = time.monotonic() + GRACE
            while _runs(self.process.pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.process.kill()
        return DelayedSubmission(Command(self.arguments, self.threads, self.folder, self.log))


def _leave_the_announcement_to_submitit() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _runs(pid: int) -> bool:
    # `Popen.wait` is what this process is just interrupted in, and it holds a lock.
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False
