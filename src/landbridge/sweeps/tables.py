"""The tables that a sweep prints: all jobs, and the failed jobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from landbridge.sweeps.job import Job, State, varying

#: What happens to a job in each state, as written in the table of jobs.
FATE: Mapping[State, str] = {
    "new": "to run",
    "killed": "goes on from its last checkpoint",
    "done": "finished already",
    "failed": "failed",
    "unreadable": "failed",
}


def print_jobs(jobs: Sequence[Job], stands_for: Mapping[int, Job]) -> None:
    """Print every job with its settings, its folder and what would happen to it."""
    names = varying(jobs)
    table = Table("job", "settings", "folder", "state")
    for job in jobs:
        first = stands_for[job.number]
        fate = FATE[job.state()] if first is job else f"the same as job {first.number}"
        table.add_row(str(job.number), escape(names[job.number]), escape(job.folder.name), fate)
    _print(table)


def print_failures(failures: Sequence[Job], names: Mapping[int, str]) -> None:
    """Print the failed jobs with their reasons and logs."""
    table = Table("job", "settings", "reason", "log", title="failed", title_justify="left", show_lines=True)
    for job in failures:
        path = job.log if job.log.exists() else job.folder
        table.add_row(str(job.number), escape(names[job.number]), escape(job.reason()), escape(shown(path)))
    _print(table)


def shown(path: Path) -> str:
    """Return a path as text. A path inside the current folder is given relative to it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        # The table must be wide: a path that is broken into two lines cannot be copied.
        console = Console(width=max(console.width, 200))
    console.print(table)
