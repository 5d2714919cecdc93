"""The one error that users see, and the nearest valid name for its message."""

from collections.abc import Iterable
from difflib import SequenceMatcher

from hydra.errors import CompactHydraException


class LandbridgeError(CompactHydraException):
    """A mistake that its user can mend.

    The message names the place, the bad value and, where there is one, the nearest valid value. Because it is one of
    Hydra's compact exceptions, the command line prints the message without a traceback and exits with 1;
    `HYDRA_FULL_ERROR=1` still shows where it was raised.
    """

    def __init__(self, message: str) -> None:
        # What is raised in a worker process of a DataLoader comes back with the worker's whole traceback as message.
        super().__init__(message.rpartition("LandbridgeError: ")[2].rstrip())


def nearest(name: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the option that is most like a name, or None where none is like it.

    Capitals count only between options that are otherwise equally near.

    Args:
        name: as it was written.
        options: the valid names.
        cutoff: the least likeness, in [0, 1]: twice the characters in common over all characters
            (`difflib.SequenceMatcher.ratio`).
    """

    def likeness(option: str) -> tuple[float, float]:
        return _ratio(name.lower(), option.lower()), _ratio(name, option)

    best = max(options, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= cutoff else None


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b, autojunk=False).ratio()
