"""Measures the seconds of each phase of a run, for the record."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Clock:
    """Adds up the seconds of each phase, over all sessions of a run.

    An interrupted and resumed run has several sessions.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seconds: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._before = 0.0

    def go_on(self, cost: Mapping[str, Any]) -> None:
        """Add the seconds of earlier sessions of an interrupted run, from the cost in its record."""
        self._before = cost.get("seconds", 0.0)
        for phase, seconds in cost.get("phases", {}).items():
            self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time a block as part of a phase."""
        self._running[phase] = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[phase] = self._until_now(phase)
            del self._running[phase]

    def leave_out(self, seconds: float) -> None:
        """Do not count the last seconds, in which another run has worked."""
        self._began += seconds
        self._running = {phase: began + seconds for phase, began in self._running.items()}

    def cost(self) -> dict[str, Any]:
        """Return all seconds so far, and the seconds of each phase, including running phases."""
        phases = [*self._seconds, *(phase for phase in self._running if phase not in self._seconds)]
        total = self._before + time.perf_counter() - self._began
        return {"seconds": round(total, 3), "phases": {phase: round(self._until_now(phase), 3) for phase in phases}}

    def _until_now(self, phase: str) -> float:
        running = time.perf_counter() - self._running[phase] if phase in self._running else 0.0
        return self._seconds.get(phase, 0.0) + running
