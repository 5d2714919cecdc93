"""The error class that users see, and the search for the nearest valid name in its message."""

from collections.abc import Iterable
from difflib import SequenceMatcher

from hydra.errors import CompactHydraException


class LandbridgeError(CompactHydraException):
    """An error that the user can correct.

    The message names the place, the bad value and, if there is one, the nearest valid value. The class is one of
    Hydra's compact exceptions: the command line prints the message without a traceback and exits with code 1. With
    `HYDRA_FULL_ERROR=1`, the command line prints the traceback too.
    """

    def __init__(self, message: str) -> None:
        # An error from a DataLoader's worker process arrives with the worker's traceback in its message. Only the part
        # after the class name is kept.
        super().__init__(printable(message.rpartition("LandbridgeError: ")[2].rstrip()))


def printable(text: str) -> str:
    r"""Return text that every file and terminal in UTF-8 can take: bytes of other encodings become `\xe9`.

    Python reads a file name with such bytes as text with lone surrogates, which no file in UTF-8 can hold.
    """
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that no file name can hold
        content = text.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


def nearest(name: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the option that is most similar to a name, or None if no option is similar enough.

    Upper and lower case count only between options that are otherwise equally similar.

    Args:
        name: the name as the user wrote it.
        options: the valid names.
        cutoff: the smallest similarity that is enough, in [0, 1]. The similarity is twice the number of common
            characters, divided by the number of all characters (`difflib.SequenceMatcher.ratio`).
    """

    def likeness(option: str) -> tuple[float, float]:
        return _ratio(name.lower(), option.lower()), _ratio(name, option)

    best = max(options, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= cutoff else None


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b, autojunk=False).ratio()
