"""The exit of the command: a short message after a user's mistake, the shell's exit code after an interruption."""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from landbridge.cli.hydra_messages import in_one_sentence
from landbridge.errors import LandbridgeError
from landbridge.record import Record

#: Makes Hydra pass errors on unchanged. Users set this variable to see tracebacks.
FULL_ERROR = "HYDRA_FULL_ERROR"
#: Marks that landbridge, not the user, has set `FULL_ERROR`. Processes that inherit the environment read this mark.
IN_SHORT = "LANDBRIDGE_ERRORS_IN_SHORT"

#: Errors that a user can correct. The message is enough, and a traceback would make it hard to find.
MISTAKES = (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError)

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


@contextmanager
def told_in_short() -> Iterator[None]:
    """End the program with a short message and a non-zero exit code if the block fails because of a user's mistake.

    From this call on, SIGTERM raises an exception. So a run can write to its record that it was interrupted.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if os.environ.get(FULL_ERROR) == "1" and IN_SHORT not in os.environ:
        yield
        return
    # Without this, Hydra would print a traceback for every exception that is not its own.
    os.environ |= {FULL_ERROR: "1", IN_SHORT: "1"}
    try:
        with mistakes_in_short():
            yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        os.environ.pop(FULL_ERROR)
        os.environ.pop(IN_SHORT)


@contextmanager
def nothing_left(folder: Path, log: str, typed: Path) -> Iterator[None]:
    """Remove the folder of a run that is refused before it trains, if this process has made the folder.

    Hydra makes the folder before the configuration is checked. Only a single run needs this: a sweep shows the records
    of refused jobs.

    Args:
        folder: the run's folder.
        log: name of the log, without its suffix.
        typed: the folder as the configuration has it. For `outputs/../x`, Hydra makes `outputs` too.
    """
    # Hydra has just opened the log. Anything else was there before, such as the log of a sweep.
    ours = [(path.name, path.stat().st_size) for path in folder.iterdir()] == [(f"{log}.log", 0)]
    try:
        yield
    except MISTAKES:
        if not ours and (opened := folder / f"{log}.log").is_file() and not opened.stat().st_size:
            opened.unlink()  # Hydra has opened it in a folder of the user
        if ours and not _has_trained(folder):
            logging.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
            # Folders above it that are empty now, but only those below the working folder.
            for parent in (*folder.resolve().parents, *typed.absolute().parents):
                if Path.cwd() in parent.resolve().parents:
                    with suppress(OSError):
                        parent.rmdir()
        raise


def _has_trained(folder: Path) -> bool:
    try:
        record = Record.read(folder)
    except LandbridgeError:
        return False
    # `fit` counts the parameters when everything is built.
    return bool(record.epochs or "parameters" in record.cost)


@contextmanager
def mistakes_in_short() -> Iterator[None]:
    """Print the message of a user's mistake and exit. If `IN_SHORT` is not set, raise the error unchanged.

    Any other error is an error of landbridge itself and keeps its traceback.
    """
    try:
        yield
    except MISTAKES as error:
        if IN_SHORT not in os.environ:
            raise
        print(in_short(error), file=sys.stderr)
        # An object that could not be built completely may fail again when Python removes it. That says nothing more.
        sys.unraisablehook = lambda _: None
        sys.exit(1)


def in_short(error: BaseException) -> str:
    """Return the message of a user's mistake, with overrides as the user typed them."""
    message = str(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        message = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
    if isinstance(error, OmegaConfBaseException) and error.full_key and error.full_key not in message:
        message = f"{error.full_key}: {message}"
    if isinstance(error.__cause__, OmegaConfBaseException):
        message += f"\n{error.__cause__}"
    return message if isinstance(error, LandbridgeError) else in_one_sentence(message)


def _terminate(*_: Any) -> NoReturn:
    sys.exit(TERMINATED)
