"""A pool that runs jobs in slots, each job or pack of jobs in its own process."""

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
from landbridge.sweeps.helper_process import Helper, HelperGoneError, job_environment
from landbridge.sweeps.lock import lock
from landbridge.sweeps.options import Options
from landbridge.sweeps.slots import slots, visible_cores, visible_gpus
from landbridge.sweeps.units import Unit
from landbridge.sweeps.view import View

log = logging.getLogger(__name__)

#: Number of helper processes that a pool starts. When the last one is killed, the sweep ends with an error.
HELPERS = 5


@dataclass(frozen=True)
class Running:
    """A running unit, the environment of its slot, and its start time."""

    unit: Unit
    slot: dict[str, str]
    began: float


class Pool:
    """Runs units of jobs, at most as many at the same time as there are slots.

    Until it is closed, the pool locks its folder and keeps a helper process.

    Args:
        folder: folder of the sweep.
        options: settings of the launcher.

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
        """Return a pair for each configuration: (identity, None), or (None, faults) if the configuration has faults."""
        try:
            return self.helper.identities(configs)
        except HelperGoneError:
            raise LandbridgeError("the helper process ended while it checked the jobs: start the sweep again") from None

    def run(self, units: Sequence[Unit], names: Mapping[int, str]) -> None:
        """Run jobs until all have ended. A job that fails does not stop the others.

        Args:
            units: jobs to run, alone or in packs.
            names: name of each job on the terminal, by the job's number.
        """
        queue, free = deque(units), deque(self.slots)
        running: dict[str, Running] = {}
        with View(sum(len(unit.jobs) for unit in units), len(self.slots)) as view:
            while queue or running:
                try:
                    while queue and free:
                        unit = queue.popleft()
                        for job in unit.prepare():
                            view.ends(names[job.number], job)
                        if unit.jobs:
                            running[unit.name] = Running(unit, free.popleft(), time.monotonic())
                            view.starts(len(unit.jobs))
                            self._start(running[unit.name])
                    ended = self.helper.ended(0.5) if running else None
                except HelperGoneError:
                    self._replace_helper()
                    queue.extendleft(each.unit for each in running.values())
                    free.extend(each.slot for each in running.values())
                    view.loses(sum(len(each.unit.jobs) for each in running.values()))
                    running.clear()
                    continue
                if ended:
                    each = running.pop(ended[0])
                    each.unit.ends(ended[1], time.monotonic() - each.began)
                    free.append(each.slot)
                    for job in each.unit.jobs:
                        view.ends(names[job.number], job)

    def stop(self) -> None:
        """Stop all jobs, and close the pool."""
        self.helper.stop()
        self.close()

    def _start(self, running: Running) -> None:
        module, arguments, log = running.unit.command()
        self.helper.start(running.unit.name, module, arguments, job_environment(running.slot), str(log))

    def _replace_helper(self) -> None:
        self.helpers += 1
        if self.helpers > HELPERS:
            raise LandbridgeError(f"the helper process was killed {HELPERS} times: check whether memory is short")
        log.warning("the helper process was killed; its jobs start again and go on from their last checkpoints")
        self.close.detach()
        self.helper.bury()
        self.helper = Helper(self.lock, self.warm)
        self.close = weakref.finalize(self, _close, self.helper, self.lock)


def _close(helper: Helper, descriptor: int) -> None:
    helper.close()
    os.close(descriptor)
