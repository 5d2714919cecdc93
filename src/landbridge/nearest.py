"""The name that a misspelt one was probably meant to be."""

from collections.abc import Iterable
from difflib import SequenceMatcher


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
