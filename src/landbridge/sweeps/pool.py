"""A pool of slots in which jobs run, each in a process of its own."""

import logging
import os
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landbridge.errors import LandbridgeError
from landbridge.sweeps.helper import Helper, HelperGoneError, job_environment
from landbridge.sweeps.job import Job
from landbridge.sweeps.lock import lock
from landbridge.sweeps.options import Options
from landbridge.sweeps.slots import slots, visible_cores, visible_gpus
from landbridge.sweeps.view import View

log = logging.getLogger(__name__)

#: How many helpers a pool uses up before it gives up.
HELPERS = 5


@dataclass(frozen=True)
class Running:
    """A job that runs, the environment of its slot, and when it began."""

    job: Job
    slot: dict[str, str]
    began: float


class Pool:
    """Runs jobs, as many at a time as there are slots. It locks its folder and keeps one helper until it is closed.

    Args:
        folder: of the sweep.
        options: of the launcher.

    Raises:
        LandbridgeError: another sweep runs in the folder, or there are too few GPUs.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self.slots = slots(options, os.environ, visible_cores(), visible_gpus() if options.gpus_per_job else [])
        self.warm = options.warm
        self.lock = lock(folder)
        self.helpers = 1
        self.helper = Helper(self.lock, self.warm)
        self.close = weakref.finalize(self, _close, self.helper, self.lock)

    def identities(self, configs: Sequence[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
        """Return the identity of each configuration, or its faults."""
        try:
            return self.helper.identities(configs)
        except HelperGoneError:
            raise LandbridgeError("the helper process ended while it checked the jobs") from None

    def run(self, jobs: Sequence[Job], names: Mapping[int, str]) -> None:
        """Run jobs until none is left; one that fails stops no other.

        Args:
            jobs: to run.
            names: by a job's number, how it is called on the terminal.
        """
        queue, free = deque(jobs), deque(self.slots)
        running: dict[str, Running] = {}
        with View(len(jobs), len(self.slots)) as view:
            while queue or running:
                try:
                    while queue and free:
                        job = queue.popleft()
                        if job.prepare():
                            running[str(job.number)] = Running(job, free.popleft(), time.monotonic())
                            view.starts()
                            self._start(running[str(job.number)])
                        else:
                            view.ends(names[job.number], job)
                    ended = self.helper.ended(0.5) if running else None
                except HelperGoneError:
                    self._replace_helper()
                    queue.extendleft(each.job for each in running.values())
                    free.extend(each.slot for each in running.values())
                    view.loses(len(running))
                    running.clear()
                    continue
                if ended:
                    each = running.pop(ended[0])
                    each.job.code, each.job.seconds = ended[1], time.monotonic() - each.began
                    free.append(each.slot)
                    view.ends(names[each.job.number], each.job)

    def stop(self) -> None:
        """Stop all jobs, and close."""
        self.helper.stop()
        self.close()

    def _start(self, it: Running) -> None:
        self.helper.start(str(it.job.number), it.job.command(), job_environment(it.slot), str(it.job.log))

    def _replace_helper(self) -> None:
        self.helpers += 1
        if self.helpers > HELPERS:
            raise LandbridgeError("the helper process is killed again and again: is memory short?")
        log.warning("the helper process was killed; its jobs go on from their last checkpoints")
        self.close.detach()
        self.helper.bury()
        self.helper = Helper(self.lock, self.warm)
        self.close = weakref.finalize(self, _close, self.helper, self.lock)


def _close(helper: Helper, descriptor: int) -> None:
    helper.close()
    os.close(descriptor)
