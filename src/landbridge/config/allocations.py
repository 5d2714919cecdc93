"""Refuses tensors for which the memory of the machine is too small, before they are allocated."""

import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

#: Functions with which modules make their parameters.
MAKERS = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full}
LIMIT = Path("/sys/fs/cgroup/memory.max")


class Allocations(TorchFunctionMode):
    """Adds up the sizes of the tensors that are made in the block, and refuses more than the machine has.

    Without this, a system that promises more memory than it has would stop the process later, without a message.

    Raises:
        MemoryError: says how much is needed and how much the machine has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Count what is made, and call the function."""
        kwargs = kwargs or {}
        if func in MAKERS and torch.device(kwargs.get("device") or "cpu").type == "cpu":
            self.bytes += _bytes(args, kwargs)
            if self.bytes > memory():
                raise MemoryError(
                    f"this needs {self.bytes / 1e9:,.1f} GB of memory or more, and this machine has "
                    f"{memory() / 1e9:,.1f} GB"
                )
        return func(*args, **kwargs)


@cache
def memory() -> float:
    """Return the bytes of memory that this process may use; infinity if the system does not say."""
    try:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf
    limit = LIMIT.read_text().strip() if LIMIT.is_file() else ""
    return min(installed, int(limit)) if limit.isdecimal() else installed


def _bytes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    size = kwargs.get("size", args[0] if args and not isinstance(args[0], int) else args)
    dtype = kwargs.get("dtype") or torch.get_default_dtype()
    return math.prod(size) * dtype.itemsize if all(isinstance(side, int) for side in size) else 0
