"""A progress bar for predictions."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def shown(batches: Iterable[T], total: int, progress: bool | None) -> Iterator[T]:
    """Yield batches, and show how many are done.

    Args:
        batches: the batches.
        total: how many there are.
        progress: whether to show it; None: on a terminal and in a notebook, for more than one batch.
    """
    console = Console(stderr=True)
    if progress is None:
        progress = total > 1 and (sys.stderr.isatty() or console.is_jupyter)
    return iter(track(batches, "predicting", total, console=console, transient=True)) if progress else iter(batches)
