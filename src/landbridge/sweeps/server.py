"""The helper of a sweep: a process that has imported everything once, checks configurations, and forks jobs.

It talks with the sweep in lines of JSON: commands on its standard input, answers on its standard output. It stays
single-threaded and touches no GPU, so that a fork is safe; where it is not (macOS, an initialised CUDA, other threads)
a job is a plain process instead. Each job leads a session of its own, so that it can be stopped together with all that
it has started. When the sweep is gone, however that came about, the helper stops the jobs and ends.
"""

import atexit
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

#: Seconds that a job has to end by itself once it is told to.
GRACE = 15.0
PR_SET_PDEATHSIG = 1


class Server:
    """The helper's loop.

    Args:
        commands: file descriptor from which commands are read.
        answers: file descriptor to which answers are written.
        lock: file descriptor that every job inherits: the sweep's folder is locked for as long as anybody has it.
        warm: whether to fork jobs where that is safe.
    """

    def __init__(self, commands: int, answers: int, lock: int, warm: bool) -> None:
        self.commands = commands
        self.answers = answers
        self.lock = lock
        self.warm = warm
        self.jobs: dict[int, str] = {}
        self.spawned: dict[int, subprocess.Popen[bytes]] = {}
        # A write for every child that ends wakes the loop up.
        self.bell, bell = os.pipe()
        os.set_blocking(bell, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Answer until the sweep closes its end, then stop what runs."""
        pending = b""
        while True:
            ready, _, _ = select.select([self.commands, self.bell], [], [])
            if self.bell in ready:
                os.read(self.bell, 4096)
                self.reap()
            if self.commands in ready:
                received = os.read(self.commands, 1 << 20)
                if not received:
                    self.stop()
                    return
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    command = json.loads(line)
                    getattr(self, command.pop("do"))(**command)

    def answer(self, **content: Any) -> None:
        """Send one answer; there may be nobody left to hear it."""
        with suppress(BrokenPipeError):
            line = json.dumps(content).encode() + b"\n"
            while line:
                line = line[os.write(self.answers, line) :]

    def identify(self, configs: list[dict[str, Any]]) -> None:
        """Check configurations, and tell their identities."""
        from landbridge.sweeps.identity import identities

        self.answer(identities=identities(configs))

    def start(self, job: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
        """Start a job: the plain command line, with an environment and a log file of its own."""
        begin = self.fork if self.warm and fork_is_safe() else self.spawn
        pid = begin(arguments, environment, log)
        self.jobs[pid] = job
        self.answer(job=job, pid=pid)

    def fork(self, arguments: list[str], environment: dict[str, str], log: str) -> int:
        """Fork a job from this process."""
        if pid := os.fork():
            return pid
        code = 1
        try:
            # Only the lock is shared with the sweep: its pipes must close when their owners end.
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            die_with_parent()
            for descriptor in (self.commands, self.answers, self.bell):
                os.close(descriptor)
            become(arguments, environment, log)
            runpy.run_module("landbridge", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            leave(code)

    def spawn(self, arguments: list[str], environment: dict[str, str], log: str) -> int:
        """Start a job as a plain process."""
        command = [sys.executable, "-m", "landbridge", *arguments]
        with Path(log).open("ab") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[self.lock],
            )
        self.spawned[process.pid] = process
        return process.pid

    def reap(self) -> None:
        """Tell of the jobs that have ended."""
        while self.jobs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            if process := self.spawned.pop(pid, None):
                process.returncode = code  # or it would wait for itself
            if code:
                self.kill(pid, signal.SIGKILL)  # what it has started and can no longer stop
            self.answer(job=self.jobs.pop(pid), code=code)

    def stop(self) -> None:
        """Ask all jobs to end, and kill those that do not."""
        for pid in self.jobs:
            self.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while self.jobs and time.monotonic() < deadline:
            time.sleep(0.02)
            self.reap()
        for pid in self.jobs:
            self.kill(pid, signal.SIGKILL)
        self.answer(stopped=True)

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a job and to all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(pid, number)


def fork_is_safe() -> bool:
    """Say whether a forked job can do all that a fresh process can."""
    import torch

    if sys.platform != "linux" or torch.cuda.is_initialized():
        return False
    # Threads of compiled libraries count too.
    return len(list(Path("/proc/self/task").iterdir())) == 1


def die_with_parent() -> None:
    """Have the kernel stop this process when its parent ends (Linux)."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def become(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Make this process look as if it had been started with a command line, an environment and a log file."""
    import numpy
    import torch
    from threadpoolctl import threadpool_limits

    null, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor, place in ((null, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, place)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["landbridge", *arguments]
    # Libraries read the number of threads when they are imported, which was long ago.
    threads = int(environment["OMP_NUM_THREADS"])
    threadpool_limits(threads)
    torch.set_num_threads(threads)
    numpy.random.seed()  # Python's own generator does this by itself
    forget_exits()


def forget_exits() -> None:
    """Leave what the helper would do at its end to the helper, such as to remove wandb's folder for pictures."""
    atexit._clear()
    for finalizer in tuple(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    # Or those of the job's own would not be called.
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]


def leave(code: int) -> NoReturn:
    """End this process as the interpreter would, but without going back to the helper's loop."""
    with suppress(BaseException):
        atexit._run_exitfuncs()
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import all that a job needs, then serve."""
    lock, warm = int(sys.argv[1]), sys.argv[2] == "warm"
    commands, answers = os.dup(0), os.dup(1)
    # Whatever prints must not end up among the answers.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    server = Server(commands, answers, lock, warm)
    if warm:
        from landbridge.sweeps.warm import warm_up

        warm_up()
    server.serve()


if __name__ == "__main__":
    main()
