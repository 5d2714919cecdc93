"""A sweep, told from top to bottom."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from omegaconf import DictConfig

from landbridge.errors import LandbridgeError
from landbridge.sweeps.job import Job, varying
from landbridge.sweeps.options import Options
from landbridge.sweeps.plan import once, plan, task_config
from landbridge.sweeps.pool import Pool
from landbridge.sweeps.tables import print_failures, print_jobs, shown

if TYPE_CHECKING:
    from landbridge.sweeps.slurm import SlurmOptions

log = logging.getLogger(__name__)


class Sweep:
    """Composes, checks and runs jobs.

    Args:
        loader: composes the jobs' configurations.
        master: the sweep's own configuration.
        options: of the launcher.
        make_pool: makes the pool in which jobs run, from the sweep's folder and the options.
    """

    def __init__(
        self,
        loader: ConfigLoader,
        master: DictConfig,
        options: "Options | SlurmOptions",
        make_pool: Callable[[Path, Any], Pool] = Pool,
    ) -> None:
        self.loader = loader
        self.master = master
        self.options = options
        self.make_pool = make_pool
        self.folder = Path.cwd() / master.hydra.sweep.dir
        self.pool: Pool | None = None

    def launch(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run a batch of jobs. A grid comes in one batch, what an adaptive sweeper asks for in several.

        Args:
            overrides: of each job.
            first: the number of the first job.

        Returns:
            What each job has found. The value of one that failed raises its reason when it is looked at.

        Raises:
            LandbridgeError: jobs have faults, and none was started.
            SystemExit: the sweep was interrupted, or only a table of its jobs was asked for.
        """
        setup_globals()
        configure_log(self.master.hydra.hydra_logging, self.master.hydra.verbose)
        with self._stoppable():
            self.pool = self.pool or self.make_pool(self.folder, self.options)
            log.info("checking %d jobs", len(overrides))
            jobs = plan(self.loader, self.master, overrides, first, self.pool)
            stands_for = once(jobs)
            if self.options.dry_run:
                print_jobs(jobs, stands_for)
                sys.exit(0)
            unique = [job for job in jobs if stands_for[job.number] is job]
            names = varying(jobs)
            if waiting := self._waiting(unique, repeated=len(jobs) - len(unique)):
                self.pool.run(waiting, names)
        if failures := [job for job in unique if job.state() != "done"]:
            print_failures(failures, names)
        return [_result(job, stands_for) for job in jobs]

    def _waiting(self, unique: Sequence[Job], repeated: int) -> list[Job]:
        """Choose the jobs that have to run, and say what becomes of the others."""
        states = [job.state() for job in unique]
        to_run = {"new", "killed"} | ({"failed"} if self.options.retry_failed else set())
        waiting = [job for job, state in zip(unique, states, strict=True) if state in to_run]
        told = {
            "finished already": states.count("done"),
            "going on from a checkpoint": states.count("killed"),
            "equal to another, which runs for them": repeated,
            "failed before (hydra.launcher.retry_failed=true runs them again)": states.count("failed")
            * (not self.options.retry_failed),
            "to run": len(waiting),
        }
        log.info("%d jobs in %s", len(unique) + repeated, shown(self.folder))
        for what, number in told.items():
            if number:
                log.info("  %d %s", number, what)
        return waiting

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM stop the jobs, say how to go on, and leave."""
        before = signal.getsignal(signal.SIGTERM)
        try:
            signal.signal(signal.SIGTERM, _terminate)
            yield
        except (KeyboardInterrupt, _TerminatedError) as stop:
            # A second Ctrl-C must not keep the first from being seen through.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            log.warning("stopping the jobs that run ...")
            if self.pool:
                self.pool.stop()
            log.warning("stopped; the same command goes on from here (its folder is %s)", shown(self.folder))
            sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)
        finally:
            signal.signal(signal.SIGTERM, before)


class _TerminatedError(BaseException):
    """The sweep was told to end (SIGTERM)."""


def _terminate(*_: object) -> NoReturn:
    raise _TerminatedError


def _result(job: Job, stands_for: Mapping[int, Job]) -> JobReturn:
    """Tell Hydra of a job as its own launchers do."""
    assert job.composed is not None
    ran = stands_for[job.number]
    result = JobReturn(
        overrides=job.overrides, cfg=task_config(job.composed), hydra_cfg=job.composed, working_dir=str(Path.cwd())
    )
    result.task_name = job.composed.hydra.job.name
    if ran.state() == "done" and (record := ran.record()):
        result.status, result.return_value = JobStatus.COMPLETED, record.score()
    else:
        result.status, result.return_value = JobStatus.FAILED, LandbridgeError(ran.reason())
    return result
