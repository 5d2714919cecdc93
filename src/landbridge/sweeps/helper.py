"""The sweep's end of the helper process: start it, talk with it, end it."""

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

from landbridge.sweeps.slots import THREADS

# What a process of a distributed run leaves in its environment would make a job believe it were one of its ranks.
RANKS = ("LOCAL_RANK", "GLOBAL_RANK", "RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED")


class HelperGoneError(Exception):
    """The helper has ended, and nobody watches its jobs."""


class Helper:
    """A running helper process.

    Args:
        lock: file descriptor that the helper and every job hold open.
        warm: whether jobs are forked where that is safe.
    """

    def __init__(self, lock: int, warm: bool) -> None:
        command = [sys.executable, "-m", "landbridge.sweeps.server", str(lock), "warm" if warm else "cold"]
        self.process = subprocess.Popen(
            command,
            # One thread: a pool of them would not survive a fork.
            env=job_environment({}) | dict.fromkeys(THREADS, "1") | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the sweep, which stops its jobs in order.
            start_new_session=True,
            pass_fds=[lock],
        )
        self.pids: dict[str, int] = {}
        self.idle = True
        self._pending = b""
        self._answers: list[dict[str, Any]] = []

    def identities(self, configs: Sequence[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
        """Return the identity of each configuration, or its faults."""
        self._send(do="identify", configs=configs)
        while True:
            if "identities" in (answer := self._next(None) or {}):
                return [(identity, faults) for identity, faults in answer["identities"]]

    def start(self, job: str, arguments: Sequence[str], environment: dict[str, str], log: str) -> None:
        """Start a job."""
        self.idle = False
        self._send(do="start", job=job, arguments=arguments, environment=environment, log=log)

    def ended(self, seconds: float) -> tuple[str, int] | None:
        """Wait for a job to end; return its name and exit code (negative: the signal that killed it), or None.

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
        """Stop all jobs, politely at first."""
        if self.idle:
            return
        with suppress(HelperGoneError):
            self._send(do="stop")
            while "stopped" not in (self._next(None) or {}):
                pass

    def close(self) -> None:
        """End the helper; jobs that still run are stopped."""
        assert self.process.stdin is not None
        if self.idle:
            self.process.kill()  # its imports need not be waited for
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def bury(self) -> None:
        """After the helper's end: kill the jobs that it has left behind, and wait until they are gone."""
        self.close()
        for pid in self.pids.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        while any(_lives(pid) for pid in self.pids.values()):
            time.sleep(0.02)

    def _send(self, **command: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise HelperGoneError from error

    def _next(self, deadline: float | None) -> dict[str, Any] | None:
        """Return the next answer, or None where none has come by then."""
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
    """Return the environment of a job in a slot: the sweep's own, without traces of distributed runs.

    What this process can import, a job can: it gets the same module path.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in RANKS}
    return inherited | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)} | slot


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
