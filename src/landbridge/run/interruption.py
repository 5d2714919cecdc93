"""Tells errors of a run from the traces of a stop from outside: by a user, a cluster, or the system."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed

#: Messages of torch about a worker process that a signal has ended. A crash of the worker itself has other signals.
KILLED_WORKER = re.compile(r"DataLoader worker .* is killed by signal: (Terminated|Killed|Hangup|Interrupt)")
WORKER = "DataLoader worker"
#: All that torch says if Lightning has removed its handler of the signal that tells how a worker has ended.
LOST_WORKER = re.compile(r"DataLoader worker \(pid\(s\) .*\) exited unexpectedly$")
#: Seconds to wait for a signal that this process may still receive.
PATIENCE = 1.0
#: Seconds in which a process that trains together with others must end after SIGTERM.
GRACE = 10.0


def interruption(error: BaseException) -> str | None:
    """Return the reason for the record if a run was stopped from outside, and None if it has failed itself.

    A signal to a group of processes reaches one after the other. A run may therefore see the end of a worker or of a
    parallel process first, as an error. In this case the function waits for the signal to the run itself.
    """
    if request_to_stop(error):
        return "interrupted"
    # Depending on the moment, the message about the signal is the error or its cause.
    messages = [str(each) for each in _chain(error) if isinstance(each, RuntimeError)]
    if killed := next(filter(None, map(KILLED_WORKER.search, messages)), None):
        why = " (as the system does when memory is short)" * (killed[1] == "Killed")
        return f"interrupted: a worker process that reads samples was killed by the signal {killed[1]}{why}"
    told = [each for each in messages if WORKER in each]
    if isinstance(error, ConnectionError | EOFError) or told or _peers(error):
        try:
            time.sleep(PATIENCE)
        except (KeyboardInterrupt, SystemExit):
            return "interrupted"
    if told and all(map(LOST_WORKER.search, told)):
        return "interrupted: a worker process that reads samples has ended without a word, as if it was killed"
    return None


def request_to_stop(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """Return the exception of Ctrl-C or SIGTERM that an error is, or that it has followed; None if there is none.

    Lightning turns a KeyboardInterrupt into a SystemExit. Its clean-up after an exception can raise further errors.
    """
    asked = [each for each in _chain(error) if isinstance(each, KeyboardInterrupt | SystemExit)]
    return next((each for each in asked if isinstance(each, KeyboardInterrupt)), asked[0] if asked else None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def _peers(error: BaseException) -> bool:
    """Return whether the error may come from the end of a parallel process."""
    parallel = torch.distributed.is_available() and torch.distributed.is_initialized()
    return parallel and isinstance(error, RuntimeError)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Within the block, end the process `GRACE` seconds after SIGTERM, even if it does not react.

    A process that waits for other processes is in compiled code, where Python handles no signal. Its record stays as
    it is after a kill, and the run resumes. The system writes each signal to a pipe, and a thread reads the pipe.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    ended = threading.Event()

    def watch() -> None:
        while received := os.read(read, 64):
            if signal.SIGTERM in received and not ended.wait(GRACE):
                os._exit(128 + signal.SIGTERM)

    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(write)
        thread.join()
        os.close(read)
