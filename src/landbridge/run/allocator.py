"""Memory that tensors leave stays with the process, for the next ones."""

import ctypes
import os
import sys

# From glibc's malloc.h: at which size of free memory to give it back, and how many blocks to map one by one.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
#: By these a user chooses another allocator, or other settings of this one.
OF_THE_USER = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_memory() -> bool:
    """Have the C library keep what is freed, instead of giving it back to the system and asking for it again.

    A layer's activations for a batch of photographs are a hundred megabytes, and glibc maps such a block anew whenever
    one is asked for. Every training step then touches all its memory for the first time, and on a CPU the system's work
    for that can take as long as the step. The price is a higher peak, by what falls between blocks of different sizes.

    Returns:
        Whether it could be done: not without glibc, and not where the user has chosen for themselves.
    """
    if not sys.platform.startswith("linux") or any(name.startswith(OF_THE_USER) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_TRIM_THRESHOLD, -1) and mallopt(M_MMAP_MAX, 0))
