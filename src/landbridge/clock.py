"""Seconds by phase, for the record."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up seconds by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._began = time.perf_counter()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time a block as part of a phase."""
        began = time.perf_counter()
        yield
        self.phases[phase] = round(self.phases.get(phase, 0.0) + time.perf_counter() - began, 3)

    def total(self) -> float:
        """Return the seconds since the clock was made."""
        return round(time.perf_counter() - self._began, 3)
