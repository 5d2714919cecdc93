"""The sweep's connection to its helper process: start the helper, send commands, read answers, end the helper."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from landbridge.sweeps.lock import lives
from landbridge.sweeps.slots import THREADS

# A distributed run sets these variables. A job that inherited them would start as one of the ranks of that run.
RANKS = ("LOCAL_RANK", "GLOBAL_RANK", "RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED")


class HelperGoneError(Exception):
    """The helper process has ended, so its jobs are no longer watched."""


class Helper:
    """A running helper process.

    Args:
        lock: file descriptor of the folder's lock. The helper and every job keep it open.
        warm: whether the helper forks jobs where forking is safe.
    """

    def __init__(self, lock: int, warm: bool) -> None:
        command = [sys.executable, "-m", "landbridge.sweeps.server", str(lock), "warm" if warm else "cold"]
        self.process = subprocess.Popen(
            command,
            # One thread: the threads of a thread pool would be missing in a forked process.
            env=job_environment({}) | dict.fromkeys(THREADS, "1") | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # In a session of its own, the helper does not receive Ctrl-C. Only the sweep does, and it stops the jobs.
            start_new_session=True,
            pass_fds=[lock],
        )
        self.pids: dict[str, int] = {}
        self.idle = True
        self._pending = b""
        self._answers: list[dict[str, Any]] = []

    def identities(self, configs: Sequence[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
        """Return a pair for each configuration: (identity, None), or (None, faults) if the configuration has faults."""
        self._send(do="identify", configs=configs)
        while True:
            if "identities" in (answer := self._next(None) or {}):
                return [(identity, faults) for identity, faults in answer["identities"]]

    def start(self, job: str, module: str, arguments: Sequence[str], environment: dict[str, str], log: str) -> None:
        """Send the command that starts a job: a module that is run as a program."""
        self.idle = False
        self._send(do="start", job=job, module=module, arguments=arguments, environment=environment, log=log)

    def ended(self, seconds: float) -> tuple[str, int] | None:
        """Wait until a job ends, but no longer than a number of seconds.

        Returns:
            The job's name and exit code (negative: the signal that killed it), or None if no job has ended.

        Raises:
            HelperGoneError: the helper has ended.
        """
        deadline = time.monotonic() + seconds
        while answer := self._next(deadline):
            if "pid" in answer:
                self.pids[answer["job"]] = answer["pid"]
            if "code" in answer:
                self.pids.pop(answer["job"], None)
                return answer["job"], answer["code"]
        return None

    def stop(self) -> None:
        """Stop all jobs: first with SIGTERM, then with SIGKILL."""
        if self.idle:
            return
        with suppress(HelperGoneError):
            self._send(do="stop")
            while "stopped" not in (self._next(None) or {}):
                pass

    def close(self) -> None:
        """End the helper, and stop the jobs that still run."""
        assert self.process.stdin is not None
        if self.idle:
            self.process.kill()  # no job has started, so the helper's imports need not finish
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait()
        except KeyboardInterrupt:  # a second Ctrl-C; the kernel stops the jobs when the helper ends
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def bury(self) -> None:
        """Kill the jobs that still run after the helper was killed, and wait until they have ended."""
        self.close()
        for pid in self.pids.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        while any(lives(pid) for pid in self.pids.values()):
            time.sleep(0.02)

    def _send(self, **command: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise HelperGoneError from error

    def _next(self, deadline: float | None) -> dict[str, Any] | None:
        """Return the next answer, or None if no answer arrives before the deadline."""
        assert self.process.stdout is not None
        stdout = self.process.stdout.fileno()
        while not self._answers:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                return None
            received = os.read(stdout, 1 << 20)
            if not received:
                raise HelperGoneError
            *lines, self._pending = (self._pending + received).split(b"\n")
            self._answers += [json.loads(line) for line in lines]
        return self._answers.pop(0)


def job_environment(slot: dict[str, str]) -> dict[str, str]:
    """Return the environment of a job: that of the sweep, without variables of distributed runs, and that of the slot.

    The module search path is that of this process, so that a job can import the same modules.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in RANKS}
    return inherited | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)} | slot
