"""The C library keeps freed memory and reuses it for new tensors."""

import os
import subprocess
import sys

import pytest

# Each round allocates 64 MiB (16,384 pages), writes to all of it and frees it.
ROUNDS = """
import resource
from landbridge.run.allocator import keep_memory
kept = {keep}
import torch
for number in range(25):
    torch.ones(2**24).add_(1)
    if number == 14:  # the first rounds are not counted: they still extend the memory of the process
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep, **environment):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "LD_PRELOAD"))}
    command = [sys.executable, "-c", ROUNDS.format(keep=keep)]
    kept, number = subprocess.check_output(command, env=plain | environment, text=True).split()
    return kept == "True", int(number)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_freed_memory_is_reused_without_page_faults():
    kept, with_it = faults("keep_memory()")
    if not kept:
        pytest.skip("this C library has no mallopt")
    _, without = faults("None")
    assert with_it < 200
    assert without > 10 * with_it + 300  # with huge pages there are fewer faults than 10 * 16384


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_settings_of_the_user_are_not_changed():
    assert not faults("keep_memory()", MALLOC_ARENA_MAX="2")[0]
