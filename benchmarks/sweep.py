"""Compare the time of a sweep of tiny runs under our launcher, Hydra's basic one, joblib's, and plain subprocesses.

The methods alternate, several times. Medians are printed: total seconds, their ratio to those of our launcher, and the
overhead per job. The overhead is the time of a job minus the seconds of its run in the record. It includes the start of
the sweep. For our launcher, a dry run measures the start, and the overhead without the start is also printed. The last
line shows the speed-up by a second worker.

    python benchmarks/sweep.py [--jobs 20] [--repeats 3] [--only landbridge basic joblib subprocesses]

Joblib's launcher is installed by pip install 'landbridge[joblib]'. If it is not installed, it is left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from landbridge.record import Record

TINY = (
    *("strategy=source_only", "target=uci_digits", "logger=none", "trainer=cpu"),
    *("data.steps_per_epoch=2", "trainer.max_epochs=1"),
)
LAUNCHERS = {
    "landbridge": (),
    "landbridge, 2 workers": ("hydra.launcher.n_jobs=2",),
    "basic": ("hydra/launcher=basic", "hydra/sweeper=basic"),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra/sweeper=basic"),
    "joblib, 2 workers": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra/sweeper=basic"),
}


def landbridge(*arguments: str, flags: Sequence[str] = ()) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "landbridge", *flags, *TINY, *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def seconds(method: str, jobs: int, folder: Path) -> float:
    """Run all jobs in a folder and return the total seconds."""
    began = time.perf_counter()
    if method == "subprocesses":
        for seed in range(jobs):
            landbridge(f"seed={seed}", f"hydra.run.dir={folder / str(seed)}")
    else:
        landbridge(f"seed=range({jobs})", f"hydra.sweep.dir={folder}", *LAUNCHERS[method], flags=["-m"])
    return time.perf_counter() - began


def start_of_a_sweep(jobs: int, folder: Path) -> float:
    """Return the seconds of our launcher before the first job starts."""
    began = time.perf_counter()
    sweep = (f"seed=range({jobs})", f"hydra.sweep.dir={folder}", "hydra.launcher.dry_run=true")
    landbridge(*sweep, flags=["-m"])
    return time.perf_counter() - began


def own_seconds(folder: Path, jobs: int) -> float:
    """Return the mean seconds of the runs, from their records."""
    records = [Record.read(path) for path in folder.glob("*/record.json")]
    assert [record.status for record in records] == ["done"] * jobs, f"{folder}: not all jobs ran"
    return statistics.mean(record.cost["seconds"] for record in records)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    methods = [*LAUNCHERS, "subprocesses"]
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=methods, default=methods)
    given = parser.parse_args(arguments)
    if not find_spec("hydra_plugins.hydra_joblib_launcher"):
        print("joblib's launcher is not installed; it is left out")
        given.only = [method for method in given.only if not method.startswith("joblib")]
    walls: dict[str, list[float]] = {method: [] for method in given.only}
    own: dict[str, list[float]] = {method: [] for method in given.only}
    starts = []
    with tempfile.TemporaryDirectory() as temporary:
        for repeat in range(given.repeats):
            starts.append(start_of_a_sweep(given.jobs, Path(temporary, f"start-{repeat}")))
            for method in given.only:
                folder = Path(temporary, f"{method.replace(', ', '-').replace(' ', '-')}-{repeat}")
                walls[method].append(seconds(method, given.jobs, folder))
                own[method].append(own_seconds(folder, given.jobs))
    wall = {method: statistics.median(times) for method, times in walls.items()}
    unit = wall.get("landbridge", min(wall.values()))
    print(f"{given.jobs} jobs, medians of {given.repeats}; the seconds of a run are those in its record")
    print(f"{'':24} seconds  ratio  run seconds / job  overhead per job, in seconds")
    for method in given.only:
        mean = statistics.median(own[method])
        workers = 2 if "2 workers" in method else 1
        overhead = wall[method] * workers / given.jobs - mean
        print(f"{method:24} {wall[method]:7.1f} {wall[method] / unit:6.2f} {mean:18.2f} {overhead:15.2f}")
    if "landbridge" in wall:
        start = statistics.median(starts)
        after = (wall["landbridge"] - start) / given.jobs - statistics.median(own["landbridge"])
        print(f"landbridge starts in {start:.1f} s; after that the overhead is {after:.2f} s per job")
        if "landbridge, 2 workers" in wall:
            two = wall["landbridge, 2 workers"]
            print(f"with a second worker, jobs are {(wall['landbridge'] - start) / (two - start):.2f} times as fast")


if __name__ == "__main__":
    main()
