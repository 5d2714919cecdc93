"""Sweeps in their own processes that are killed, stopped, and started twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from landbridge.record import Record
from photographs import photographs

TESTS = Path(__file__).parents[1]
TINY = ("--config-dir", str(TESTS / "conf"), "experiment=tiny")
pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]


@pytest.fixture
def start(tmp_path):
    """A function that starts a sweep in the folder of this test. Its sweeps are killed when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def popen(*arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
        process = subprocess.Popen(
            [sys.executable, "-m", "landbridge", "-m", *TINY, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Background processes of a shell ignore Ctrl-C, and their children inherit this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def jobs(sweep: subprocess.Popen[str]) -> list[int]:
    """Return the processes of a sweep's jobs: the children of its helper."""
    return [job for helper in children(sweep.pid) for job in children(helper)]


def running(sweep: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Yield the running jobs again and again, until the sweep has ended."""
    while sweep.poll() is None:
        if now := jobs(sweep):
            yield now
        time.sleep(0.01)


def done(folder: Path) -> dict[str, bytes]:
    """Return the files of all records of finished jobs."""
    files = {path.parent.name: path.read_bytes() for path in folder.glob("*/record.json")}
    return {name: content for name, content in files.items() if b'"status": "done"' in content}


def outcome(record: Record) -> tuple:
    """Return the parts of a record that must not depend on interruptions."""
    epochs = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in record.epochs]
    return record.fingerprint, record.selection, record.results, epochs, record.seal


def test_a_sweep_killed_at_random_and_resumed_equals_an_uninterrupted_one(start, sweep, tmp_path):
    # The jobs are long enough that one can always be killed.
    grid = ("seed=range(12)", "strategy=dann", "trainer.max_epochs=12", "data.steps_per_epoch=3")
    code, _ = sweep(*grid, "hydra.sweep.dir=straight")
    assert code == 0

    rng = random.Random(0)
    kills, finished, folder = 0, {}, tmp_path / "killed"
    # For each start of the sweep: the number of jobs to kill, whether to kill the helper then, and the sweep after it.
    for victims, helper_too, sweep_too in ((6, True, True), (3, False, True), (0, False, False)):
        process = start(*grid, f"hydra.sweep.dir={folder}", "hydra.launcher.n_jobs=2")
        hit: set[int] = set()
        for now in running(process):
            time.sleep(rng.uniform(0, 0.6))
            if fresh := [pid for pid in now if pid not in hit and pid in jobs(process)]:
                if victims:
                    victim = rng.choice(fresh)
                    hit.add(victim)
                    victims -= 1
                elif helper_too:
                    (victim,) = children(process.pid)
                    hit.update(fresh)
                    helper_too = False
                elif sweep_too:
                    victim = process.pid
                else:
                    break
                os.kill(victim, signal.SIGKILL)
                kills += 1
        output, _ = process.communicate(timeout=120)
        assert "Traceback" not in output
        assert done(folder).items() >= finished.items(), "a finished job ran again"
        finished = done(folder)
    assert process.returncode == 0, output
    assert kills >= 10
    assert len(finished) == 12
    for name in finished:
        assert outcome(Record.read(folder / name)) == outcome(Record.read(tmp_path / "straight" / name))


def test_a_sweep_of_photographs_that_is_stopped_in_any_way_is_interrupted_and_not_failed(start, sweep, tmp_path):
    """Jobs have two worker processes each, which receive some of the signals before their job does."""
    root = photographs(tmp_path / "photos")
    images = ("source=null", "target=image_folder", f"target.root={root}", "target_labels=all", "strategy=target_only")
    grid = (*images, "seed=0,1", "data.workers=2", "trainer.max_epochs=40", "hydra.launcher.n_jobs=2")
    code, _ = sweep(*grid, "hydra.sweep.dir=straight")
    assert code == 0

    def the_sweep(process, job, workers):
        os.kill(process.pid, signal.SIGKILL)

    def the_group_of_a_job(process, job, workers):
        os.killpg(job, signal.SIGTERM)

    def workers_then_the_job(process, job, workers):
        for each in (*workers, job):
            os.kill(each, signal.SIGTERM)

    def a_worker(process, job, workers):
        os.kill(workers[0], signal.SIGKILL)

    folder = tmp_path / "stopped"
    rng = random.Random(0)
    for stop in (the_sweep, the_group_of_a_job, workers_then_the_job, a_worker, the_sweep):
        process, now = start(*grid, f"hydra.sweep.dir={folder}"), []
        for now in running(process):
            working = [(job, children(job)) for job in now if len(children(job)) == 2]
            if working and all(epochs(folder)):
                time.sleep(rng.uniform(0, 0.3))
                job, workers = rng.choice(working)
                with suppress(ProcessLookupError):
                    stop(process, job, workers)
                break
        process.communicate(timeout=200)
        deadline = time.monotonic() + 20
        while stop is the_sweep and any(children(pid) for pid in now) and time.monotonic() < deadline:
            time.sleep(0.05)  # the helper stops its jobs
        for path in folder.glob("[!.]*/record.json"):
            record = Record.read(path)
            assert record.status != "failed" or (record.reason or "").startswith("interrupted"), (stop, record.reason)
    code, told = sweep(*grid, "hydra.sweep.dir=stopped")
    assert code == 0, told
    for path in folder.glob("[!.]*/"):
        assert outcome(Record.read(path)) == outcome(Record.read(tmp_path / "straight" / path.name))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_leaves_no_process_and_prints_how_to_continue(number, code, start, tmp_path):
    command = ("seed=0,1", "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2", "trainer.max_epochs=100000")
    first = start(*command)
    while len(alive := jobs(first)) < 2 or not all(epochs(tmp_path / "sweep")):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    second = start(*command)
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"another sweep runs in {tmp_path / 'sweep'} (process {first.pid})" in output

    first.send_signal(number)
    output, _ = first.communicate(timeout=60)
    assert first.returncode == code
    assert "run the same command again to continue the sweep" in output
    assert "Traceback" not in output
    assert not any(Path(f"/proc/{pid}").exists() for pid in alive)
    for path in tmp_path.glob("sweep/[!.]*/"):
        record = Record.read(path)
        assert (record.status, record.reason) == ("failed", "interrupted")
        assert (path / "last.ckpt").exists()


def epochs(folder: Path) -> list[bool]:
    return [(path / "last.ckpt").exists() for path in folder.glob("[!.]*/")] or [False]


def test_a_job_that_slurm_preempts_goes_on(start, sweep, tmp_path):
    """Uses submitit's local executor, and the signal that Slurm sends before it ends a job."""
    pytest.importorskip("submitit")
    grid = ("seed=1", "trainer.max_epochs=40")
    process = start(
        *(*grid, f"hydra.sweep.dir={tmp_path / 'preempted'}", "hydra/launcher=slurm"),
        *("hydra.launcher.cluster=local", "hydra.launcher.cpus_per_task=1"),
    )
    while not all(epochs(tmp_path / "preempted")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    controllers = [pid for pid in children(process.pid) if b"submitit" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    (task,) = children(*controllers)
    os.kill(task, signal.SIGUSR2)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "1/1 done" in output
    (folder,) = (path.parent for path in tmp_path.glob("preempted/*/record.json"))
    assert "training resumes from" in (folder / "console.log").read_text()

    _, again = sweep(*grid, "hydra.sweep.dir=preempted")
    assert "1 finished already" in again
    sweep(*grid, "hydra.sweep.dir=straight")
    assert outcome(Record.read(folder)) == outcome(Record.read(tmp_path / "straight" / folder.name))
