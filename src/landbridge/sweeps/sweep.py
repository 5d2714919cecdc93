"""A sweep: its jobs are composed, checked and run, and their results are returned."""

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
from landbridge.sweeps.lock import forget
from landbridge.sweeps.options import Options
from landbridge.sweeps.plan import once, plan, task_config
from landbridge.sweeps.pool import Pool
from landbridge.sweeps.tables import print_failures, print_jobs, shown
from landbridge.sweeps.units import Unit, in_units

if TYPE_CHECKING:
    from landbridge.sweeps.slurm import SlurmOptions

log = logging.getLogger(__name__)


class Sweep:
    """Composes, checks and runs jobs.

    Args:
        loader: composes the configurations of the jobs.
        master: the sweep's own configuration.
        options: settings of the launcher.
        make_pool: makes the pool that runs the jobs, from the sweep's folder and the options.
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
        """Run a batch of jobs. A grid is one batch; an adaptive sweeper runs several batches.

        Args:
            overrides: the overrides of each job.
            first: the number of the first job.

        Returns:
            The result of each job. For a failed job, reading `return_value` raises an error with the reason.

        Raises:
            LandbridgeError: jobs have faults, and none was started.
            SystemExit: the sweep was interrupted, or the option `dry_run` is set.
        """
        setup_globals()
        configure_log(self.master.hydra.hydra_logging, self.master.hydra.verbose)
        with self._stoppable():
            self.pool = self.pool or self.make_pool(self.folder, self.options)
            log.info("checking %d jobs", len(overrides))
            try:
                jobs = plan(self.loader, self.master, overrides, first, self.pool)
            except LandbridgeError:
                forget(self.folder)
                raise
            stands_for = once(jobs)
            if self.options.dry_run:
                print_jobs(jobs, stands_for)
                self._units([job for job in jobs if stands_for[job.number] is job and job.state() in ("new", "killed")])
                forget(self.folder)
                sys.exit(0)
            unique = [job for job in jobs if stands_for[job.number] is job]
            names = varying(jobs)
            if waiting := self._waiting(unique, repeated=len(jobs) - len(unique)):
                self.pool.run(self._units(waiting), names)
        if failures := [job for job in unique if job.state() != "done"]:
            print_failures(failures, names)
        return [_result(job, stands_for) for job in jobs]

    def _units(self, waiting: Sequence[Job]) -> list[Unit]:
        """Divide the jobs that have to run into packs and single jobs, and log why a job is in no pack."""
        pack, at_once = getattr(self.options, "pack", "off"), self.options.n_jobs
        units, lines = in_units(waiting, self.folder, pack, at_once)
        for line in lines:
            log.info("  %s", line)
        return units

    def _waiting(self, unique: Sequence[Job], repeated: int) -> list[Job]:
        """Return the jobs that have to run, and log how many jobs are in each state."""
        states = [job.state() for job in unique]
        to_run = {"new", "killed"} | ({"failed"} if self.options.retry_failed else set())
        waiting = [job for job, state in zip(unique, states, strict=True) if state in to_run]
        counts = {
            "finished already": states.count("done"),
            "going on from a checkpoint": states.count("killed"),
            "equal to another job, whose result they share": repeated,
            "failed before (hydra.launcher.retry_failed=true runs them again)": states.count("failed")
            * (not self.options.retry_failed),
            "to run": len(waiting),
        }
        log.info("%d jobs in %s", len(unique) + repeated, shown(self.folder))
        for state, number in counts.items():
            if number:
                log.info("  %d %s", number, state)
        return waiting

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """On Ctrl-C or SIGTERM, stop the jobs, log how to continue the sweep, and exit."""
        before = signal.getsignal(signal.SIGTERM)
        try:
            signal.signal(signal.SIGTERM, _terminate)
            yield
        except (KeyboardInterrupt, _TerminatedError) as stop:
            # A second Ctrl-C must not interrupt the stopping of the jobs.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            log.warning("stopping the running jobs ...")
            if self.pool:
                self.pool.stop()
            log.warning("stopped; run the same command again to continue the sweep (folder: %s)", shown(self.folder))
            sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)
        finally:
            signal.signal(signal.SIGTERM, before)


class _TerminatedError(BaseException):
    """The sweep has received SIGTERM."""


def _terminate(*_: object) -> NoReturn:
    raise _TerminatedError


def _result(job: Job, stands_for: Mapping[int, Job]) -> JobReturn:
    """Return the result of a job in the form that Hydra's own launchers use."""
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
