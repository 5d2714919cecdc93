"""Threads that take turns, so that many runs can go on together in one process without running at the same time."""

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Semaphore, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: Computes what several threads wait for.
Compute = Callable[[Sequence[Any]], None]


class Turn:
    """One of the threads.

    Args:
        work: what it does.
        back: released whenever the thread gives up its turn.
    """

    def __init__(self, work: Callable[["Turn"], None], back: Semaphore) -> None:
        self.request: Any = None
        #: Raised in the thread when it gets its turn again.
        self.error: BaseException | None = None
        self._back = back
        self._go = Semaphore(0)
        self._state: _State | None = None
        self._thread = Thread(target=self._run, args=(work,), daemon=True)

    def together(self, request: Any) -> None:
        """Wait until something is computed for all threads together. Only the thread itself calls this.

        Args:
            request: what is to be computed for this thread.

        Raises:
            BaseException: the computation has failed, or the process is asked to stop.
        """
        self.request = request
        self._back.release()
        self._go.acquire()
        self.request = None
        if self.error is not None:
            raise self.error

    def proceed(self, fresh: "_State") -> None:
        """Let the thread run until it waits or ends. It begins with `fresh`, and then keeps a state of its own."""
        (self._state or fresh).restore()
        if self._state is None:
            self._thread.start()
        else:
            self._go.release()
        self._back.acquire()
        self._state = _State.now()

    def _run(self, work: Callable[["Turn"], None]) -> None:
        try:
            work(self)
        finally:
            self.request = None
            self._back.release()


@dataclass(frozen=True)
class _State:
    """What belongs to the process, and what each run sets for itself."""

    python: Any
    numpy: Any
    torch: Tensor
    cuda: list[Tensor]
    filters: Any

    @classmethod
    def now(cls) -> "_State":
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda, warnings.filters)

    def restore(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        warnings.filters = self.filters
        # Python then looks at the filters again.
        warnings._filters_mutated()  # type: ignore[attr-defined]


def take_turns(
    works: Sequence[Callable[[Turn], None]], compute: Compute, stopped: Callable[[], BaseException | None]
) -> None:
    """Run functions in threads, one thread at a time, until all have ended.

    Every function runs until it calls `Turn.together`. When all that have not ended wait there, their requests are
    computed together, and each function goes on.

    Args:
        works: the functions. They raise no errors.
        compute: computes the requests of all threads that wait. It runs in the thread of the caller.
        stopped: returns an error to raise in all threads that wait, if the process is to stop.
    """
    back, fresh = Semaphore(0), _State.now()
    turns = [Turn(work, back) for work in works]
    try:
        for turn in turns:
            turn.proceed(fresh)
        while waiting := [turn for turn in turns if turn.request is not None]:
            try:
                if stopped() is None:
                    compute([turn.request for turn in waiting])
                failed = None
            except Exception as failure:
                failed = failure
            for turn in waiting:
                turn.error = failed or stopped()
                turn.proceed(fresh)
    finally:
        fresh.restore()
