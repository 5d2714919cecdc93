"""How the command ends: a mistake in a sentence, an interruption with the shell's own code."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

#: Asks Hydra to hand errors on as they are. Users set it to see tracebacks.
FULL_ERROR = "HYDRA_FULL_ERROR"
#: Says that it was landbridge that asked, to processes that inherit the environment.
IN_SHORT = "LANDBRIDGE_ERRORS_IN_SHORT"

#: What a user can mend: the message is enough, and a traceback would bury it.
MISTAKES = (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError)

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


@contextmanager
def told_in_short() -> Iterator[None]:
    """Let the program end with a short message and a non-zero code where the block fails by its user's mistake.

    A signal to terminate is an ordinary exception from here on, so that what is begun is noted.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if os.environ.get(FULL_ERROR) == "1" and IN_SHORT not in os.environ:
        yield
        return
    # Hydra would print a traceback for everything that is not its own exception.
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
def mistakes_in_short() -> Iterator[None]:
    """Turn a user's mistake into the end of the program, unless the environment asks for tracebacks.

    What is no user's mistake is an error of landbridge's own and keeps its traceback.
    """
    try:
        yield
    except MISTAKES as error:
        if IN_SHORT not in os.environ:
            raise
        print(in_short(error), file=sys.stderr)
        sys.exit(1)


def in_short(error: BaseException) -> str:
    """Return what a user needs to know of a mistake, in the words that were typed."""
    message = str(error)
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
    if isinstance(error.__cause__, OmegaConfBaseException):
        message += f"\n{error.__cause__}"
    # `groups.as_additions` has put these there.
    return message.replace("'++", "'").replace(" ++", " ").rstrip()


def _terminate(*_: Any) -> NoReturn:
    sys.exit(TERMINATED)
