"""Makes the C library keep freed memory, so that new tensors reuse it."""

import ctypes
import os
import sys

# Parameters of mallopt in glibc's malloc.h: the size of free memory above which it is returned to the system, and the
# maximum number of blocks that are mapped separately.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
#: Prefixes of environment variables that choose another allocator or other settings.
OF_THE_USER = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_memory() -> bool:
    """Make the C library keep freed memory instead of returning it to the system.

    The activations of one layer for a batch of images can take a hundred megabytes. By default, glibc maps such a block
    anew for every request. Every training step then touches all its memory for the first time, and on a CPU the
    system's work for this can take as long as the step itself. The disadvantage is a higher peak of memory, because
    gaps between blocks of different sizes stay unused.

    Returns:
        Whether the setting was made. It is not made without glibc, or if the user has set an allocator or its options.
    """
    if not sys.platform.startswith("linux") or any(name.startswith(OF_THE_USER) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_TRIM_THRESHOLD, -1) and mallopt(M_MMAP_MAX, 0))
