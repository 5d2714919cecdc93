"""Sweeps on a Slurm cluster. Each job is a Slurm job that runs the command of a single run; submitit submits it."""

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
from landbridge.sweeps.helper_process import job_environment
from landbridge.sweeps.lock import lock
from landbridge.sweeps.options import Options
from landbridge.sweeps.pool import Pool
from landbridge.sweeps.slots import THREADS
from landbridge.sweeps.units import Unit
from landbridge.sweeps.view import View

try:
    import submitit
    from submitit.helpers import DelayedSubmission
except ImportError as error:
    raise LandbridgeError("hydra/launcher=slurm needs submitit: pip install 'landbridge[slurm]'") from error

log = logging.getLogger(__name__)

#: Seconds between two checks of the queue, for each cluster.
LOOK = {"slurm": 10.0, "local": 0.2}
#: Seconds in which a command must end after SIGTERM; then it is killed.
GRACE = 20.0


@dataclass(frozen=True)
class SlurmOptions:
    """Settings of `hydra/launcher=slurm`.

    Attributes:
        n_jobs: number of jobs that Slurm may run at the same time.
        timeout_min: minutes after which Slurm ends a job. The job is queued again and goes on from its last checkpoint.
        requeues: how often a job may reach its time limit and be queued again. Preemptions do not count.
        nodes: number of nodes of a job.
        tasks_per_node: number of processes of a job on each node, the same as `trainer.devices`.
        cpus_per_task: number of cores, and of threads, of each process.
        gpus_per_node: number of GPUs of a job on each node.
        mem_gb: memory of a job on each node, in GB; None takes the cluster's default.
        partition: partition of the jobs; None takes the cluster's default.
        more: further parameters of submitit, such as `{slurm_qos: long}`.
        retry_failed: whether jobs that have failed before run again.
        dry_run: whether to compose and check all jobs, print a table of them, and start none.
        cluster: `slurm`, or `local` to try a sweep on this machine.
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
            raise LandbridgeError(f"hydra.launcher.cluster={self.cluster}: the value must be one of {', '.join(LOOK)}")

    def parameters(self) -> dict[str, Any]:
        """Return the settings under submitit's names."""
        names = ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb")
        given = {name: getattr(self, name) for name in names}
        given |= {"slurm_partition": self.partition, "slurm_array_parallelism": self.n_jobs}
        return {name: value for name, value in given.items() if value is not None} | dict(self.more)


class SlurmPool(Pool):
    """Submits jobs to Slurm, and watches them until they have ended.

    Args:
        folder: folder of the sweep.
        options: settings of the launcher.

    Raises:
        LandbridgeError: another sweep runs in the folder, or the cluster is not available on this machine.
    """

    def __init__(self, folder: Path, options: SlurmOptions) -> None:
        self.options = options
        try:
            limit = {f"{options.cluster}_max_num_timeout": options.requeues}
            self.executor = submitit.AutoExecutor(folder / ".submitit", cluster=options.cluster, **limit)
            self.executor.update_parameters(**options.parameters())
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise LandbridgeError(f"hydra/launcher=slurm: {error}") from error
        # Here the helper process only checks configurations. It starts no jobs.
        super().__init__(folder, Options(warm=False))
        self.submitted: dict[int, submitit.Job[int]] = {}

    def run(self, units: Sequence[Unit], names: Mapping[int, str]) -> None:
        """Submit jobs, and wait until all have ended. Here each unit is one job."""
        jobs = [job for unit in units for job in unit.jobs]
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
        """Cancel all jobs, and close the pool."""
        for submitted in self.submitted.values():
            submitted.cancel()
        super().stop()


class Command:
    """The work of a Slurm job: run the command of a single run.

    Before Slurm ends the job, submitit calls `checkpoint`, which stops the command. Then submitit queues the job again.

    Args:
        arguments: command-line arguments of the run.
        threads: environment variables that set the number of threads.
        folder: folder of the run.
        log: file for the output of the run.
    """

    def __init__(self, arguments: list[str], threads: dict[str, str], folder: Path, log: Path) -> None:
        self.arguments = arguments
        self.threads = threads
        self.folder = folder
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the command, and return its exit code."""
        # A killed sweep leaves jobs in the queue. Such a job and one of the next sweep must not use a folder together.
        first = submitit.JobEnvironment().global_rank == 0
        descriptor = lock(self.folder) if first else None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "landbridge", *self.arguments],
                env=job_environment(self.threads),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Before Slurm ends a job, it sends SIGUSR2 to this process and the command. Only submitit handles it.
                preexec_fn=_ignore_usr2,
            )
            code = self.process.wait()
        if descriptor is not None:
            os.close(descriptor)
        return code

    def checkpoint(self) -> DelayedSubmission:
        """Stop the command, and return its work, which submitit queues again. The last checkpoint is on disk."""
        if self.process:
            self.process.terminate()
            deadline = time.monotonic() + GRACE
            while _runs(self.process.pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.process.kill()
        return DelayedSubmission(Command(self.arguments, self.threads, self.folder, self.log))


def _ignore_usr2() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _runs(pid: int) -> bool:
    # The signal has interrupted `Popen.wait`, which holds a lock. So `Popen.poll` cannot be used here.
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    return False
