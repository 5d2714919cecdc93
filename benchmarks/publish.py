"""Published comparisons: sweeps of landbridge into one folder, and the tables of its report in a page of docs/.

A benchmark is a list of sweeps. A sweep is what stands on a command line after `landbridge -m`. Nothing runs twice: a
sweep goes on where it was stopped, and finished runs are not repeated.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Exit codes of a sweep that was stopped. Code 1 means that some of its jobs have failed.
STOPPED = (130, 143)


def arguments(documentation: str | None, folder: str, seeds: int) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all benchmarks have.

    Args:
        documentation: of the benchmark; the first line describes it.
        folder: of the runs, if none is given.
        seeds: their number, if none is given.
    """
    parser = argparse.ArgumentParser(description=(documentation or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=seeds, help=f"number of seeds (default: {seeds})")
    parser.add_argument("--folder", type=Path, default=Path(folder))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time, one thread each")
    parser.add_argument("--overrides", nargs="*", default=[], help="further settings of every run")
    parser.add_argument("--show", action="store_true", help="print the commands, and start none")
    parser.add_argument("--no-run", action="store_true", help="start no runs; make the tables of finished runs")
    parser.add_argument("--no-write", action="store_true", help="run only, and leave the page as it is")
    return parser


def portions(seeds: int, at_once: int) -> list[str]:
    """Return the seeds in portions. All sweeps of a portion end before the next portion, so that tables are balanced.

    Example:
        `portions(8, 5)` is `["0,1,2,3,4", "5,6,7"]`.
    """
    every = [str(seed) for seed in range(seeds)]
    return [",".join(every[first : first + at_once]) for first in range(0, seeds, at_once)]


def command(sweep: str | Sequence[str], options: argparse.Namespace) -> list[str]:
    """Return the command line of a sweep, with a worker for each core and one thread for each worker."""
    words = shlex.split(sweep) if isinstance(sweep, str) else sweep
    launcher = [f"hydra.launcher.n_jobs={options.jobs}", "hydra.launcher.threads=1"]
    return ["landbridge", "-m", *words, *options.overrides, f"hydra.sweep.dir={options.folder}", *launcher]


def run(sweeps: Iterable[str], options: argparse.Namespace) -> int:
    """Run sweeps one after the other; return the number of sweeps in which jobs have failed."""
    failed = 0
    for number, sweep in enumerate(sweeps := list(sweeps), start=1):
        typed = command(sweep, options)
        print(f"[{number}/{len(sweeps)}] {shlex.join(typed)}", flush=True)
        if options.show:
            continue
        code = subprocess.run([sys.executable, "-m", *typed], check=False).returncode
        if code in STOPPED or code < 0:
            sys.exit(f"stopped; the same command goes on (folder: {options.folder})")
        failed += code != 0
    return failed


def publish(sweeps: Iterable[str], page: Path, control: str | None, options: argparse.Namespace) -> None:
    """Run sweeps, and write the tables of their report between the marks of a page.

    Args:
        sweeps: as they stand after `landbridge -m`.
        page: with the marks.
        control: a simple strategy that the methods are compared with in addition to their reference.
        options: of the command line.
    """
    failed = 0 if options.no_run else run(sweeps, options)
    if not (options.no_write or options.show):
        report = ["landbridge.report", str(options.folder), "--into", str(page)]
        report += ["--control", control] if control else []
        subprocess.run([sys.executable, "-m", *report], check=True)
    if failed:
        sys.exit(f"jobs have failed in {failed} sweeps; hydra.launcher.retry_failed=true runs them again")
