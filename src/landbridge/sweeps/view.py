"""The progress display of a sweep: counts and the remaining time on a terminal, plain lines in a pipe."""

import sys
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from landbridge.sweeps.job import Job


class View:
    """Shows the progress of a sweep.

    Args:
        jobs: number of jobs to run.
        at_once: number of jobs that run at the same time.
    """

    def __init__(self, jobs: int, at_once: int) -> None:
        self.jobs = jobs
        self.at_once = at_once
        self.done = 0
        self.failed = 0
        self.running = 0
        self.seconds = 0.0
        self.console = Console(stderr=True, highlight=False)
        if not self.console.is_terminal:
            self.console = Console(file=sys.stderr, width=200, soft_wrap=True, highlight=False)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.progress.add_task("", total=jobs)

    def __enter__(self) -> "View":
        self.progress.start()
        self._update()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.progress.stop()

    def starts(self, jobs: int = 1) -> None:
        """Count started jobs."""
        self.running += jobs
        self._update()

    def ends(self, name: str, job: Job) -> None:
        """Count and print a job that has ended or could not start."""
        done = job.state() == "done"
        self.running -= not job.faults
        self.seconds += job.seconds
        self.done += done
        self.failed += not done
        word, rest = ("done", job.found()) if done else ("[red]failed[/]", job.reason())
        place = f"{self.done + self.failed}/{self.jobs}"
        self.console.print(f"{place} {word} {escape(name)}  {escape(rest)}  ({job.seconds:.1f} s)")
        self._update()

    def loses(self, jobs: int) -> None:
        """Subtract a number of running jobs that have to start again."""
        self.running -= jobs
        self._update()

    def left(self) -> float | None:
        """Estimate the remaining seconds from the mean duration of the jobs that have ended.

        Before the first job has ended, and after the last, the result is None.
        """
        ended = self.done + self.failed
        return self.seconds / ended * (self.jobs - ended) / self.at_once if 0 < ended < self.jobs else None

    def _update(self) -> None:
        left = self.left()
        about = "" if left is None else f", about {timedelta(seconds=round(left))} left"
        description = f"{self.running} running, {self.failed} failed{about}"
        self.progress.update(self.task, completed=self.done + self.failed, description=description)
