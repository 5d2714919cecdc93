"""The helper process of a sweep. It imports all modules once, checks configurations, and forks jobs.

The helper reads commands from its standard input and writes answers to its standard output. Each is a line of JSON. The
helper has one thread and does not use a GPU, so that forking is safe. Where forking is unsafe (on macOS, with CUDA
initialised, or with other threads), the helper starts a job as a new process instead. Each job leads its own session,
so that the job and all processes that it has started can be stopped together. When the sweep ends for any reason, the
helper stops the jobs and ends too.
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

#: Seconds in which a job must end after SIGTERM; then it is killed.
GRACE = 15.0
PR_SET_PDEATHSIG = 1


class Server:
    """The helper's loop.

    Args:
        commands: file descriptor from which commands are read.
        answers: file descriptor to which answers are written.
        lock: file descriptor that every job inherits. The sweep's folder is locked while any process has it open.
        warm: whether to fork jobs where that is safe.
    """

    def __init__(self, commands: int, answers: int, lock: int, warm: bool) -> None:
        self.commands = commands
        self.answers = answers
        self.lock = lock
        self.warm = warm
        self.jobs: dict[int, str] = {}
        self.spawned: dict[int, subprocess.Popen[bytes]] = {}
        # When a child ends, SIGCHLD writes to this pipe. So `select` in the loop returns.
        self.bell, bell = os.pipe()
        os.set_blocking(bell, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Carry out commands until the sweep closes its end of the pipe; then stop all jobs."""
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
        """Send one answer to the sweep; do nothing if the sweep has ended."""
        with suppress(BrokenPipeError):
            line = json.dumps(content).encode() + b"\n"
            while line:
                line = line[os.write(self.answers, line) :]

    def identify(self, configs: list[dict[str, Any]]) -> None:
        """Check configurations, and send their identities."""
        from landbridge.sweeps.identity import identities

        self.answer(identities=identities(configs))

    def start(self, job: str, module: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
        """Start a job: the command line of a single run or of a pack, with its own environment and log file."""
        begin = self.fork if self.warm and fork_is_safe() else self.spawn
        pid = begin(module, arguments, environment, log)
        self.jobs[pid] = job
        self.answer(job=job, pid=pid)

    def fork(self, module: str, arguments: list[str], environment: dict[str, str], log: str) -> int:
        """Fork a job from this process."""
        if pid := os.fork():
            return pid
        code = 1
        try:
            # The job keeps only the lock. It closes the pipes, since they must close when the sweep or the helper ends.
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            die_with_parent()
            for descriptor in (self.commands, self.answers, self.bell):
                os.close(descriptor)
            become(arguments, environment, log)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            leave(code)

    def spawn(self, module: str, arguments: list[str], environment: dict[str, str], log: str) -> int:
        """Start a job as a new process."""
        command = [sys.executable, "-m", module, *arguments]
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
        """Collect the jobs that have ended, and send their exit codes."""
        while self.jobs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            if process := self.spawned.pop(pid, None):
                process.returncode = code  # otherwise `Popen` would wait for the process again
            if code:
                self.kill(pid)  # a failed job may leave processes that it has started
            self.answer(job=self.jobs.pop(pid), code=code)

    def stop(self) -> None:
        """Send SIGTERM to all jobs, and kill those that do not end in time, with the processes that they have started.

        Only the first process of a job receives SIGTERM. It ends the others. If its workers received the signal first,
        the job would see their end as an error.
        """
        for pid in self.jobs:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while self.jobs and time.monotonic() < deadline:
            time.sleep(0.02)
            self.reap()
        for pid in self.jobs:
            self.kill(pid)
        self.answer(stopped=True)

    def kill(self, pid: int) -> None:
        """Kill a job and the processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def fork_is_safe() -> bool:
    """Return whether a forked job works like a new process."""
    import torch

    if sys.platform != "linux" or torch.cuda.is_initialized():
        return False
    # This list includes the threads of compiled libraries, which Python does not list.
    return len(list(Path("/proc/self/task").iterdir())) == 1


def die_with_parent() -> None:
    """Make the kernel send SIGTERM to this process when its parent ends (Linux)."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def become(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Make this process the same as one that was started with a command line, an environment and a log file."""
    import numpy
    import torch
    from threadpoolctl import threadpool_limits

    null, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor, place in ((null, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, place)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["landbridge", *arguments]
    # Libraries read the number of threads only when they are imported. The helper has already imported them.
    threads = int(environment["OMP_NUM_THREADS"])
    threadpool_limits(threads)
    torch.set_num_threads(threads)
    numpy.random.seed()  # after a fork, Python seeds its own generator anew, but NumPy does not
    forget_exits()


def forget_exits() -> None:
    """Remove the exit handlers that a job has inherited from the helper.

    Only the helper may run them. One of them removes wandb's folder for pictures, for example.
    """
    atexit._clear()
    for finalizer in tuple(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    # Otherwise, finalizers that the job registers later would not run when it exits.
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]


def leave(code: int) -> NoReturn:
    """End this process as the interpreter does, with exit handlers, but without a return to the helper's loop."""
    with suppress(BaseException):
        atexit._run_exitfuncs()
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import all modules that a job needs, if jobs are forked; then serve."""
    lock, warm = int(sys.argv[1]), sys.argv[2] == "warm"
    commands, answers = os.dup(0), os.dup(1)
    # Printed text goes to standard error, so that it does not mix with the answers.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    server = Server(commands, answers, lock, warm)
    if warm:
        from landbridge.sweeps.warm import warm_up

        warm_up()
    server.serve()


if __name__ == "__main__":
    main()
