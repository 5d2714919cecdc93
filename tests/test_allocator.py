import os
import subprocess
import sys

import pytest

# Each round asks for 64 MiB, touches all of it and gives it back: 16,384 pages.
ROUNDS = """
import resource
from landbridge.run.allocator import keep_memory
kept = {keep}
import torch
for number in range(25):
    torch.ones(2**24).add_(1)
    if number == 14:  # the first rounds find their place among what else is asked for
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep, **environment):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "LD_PRELOAD"))}
    command = [sys.executable, "-c", ROUNDS.format(keep=keep)]
    kept, number = subprocess.check_output(command, env=plain | environment, text=True).split()
    return kept == "True", int(number)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_memory_that_is_used_again_is_not_asked_for_again():
    kept, with_it = faults("keep_memory()")
    if not kept:
        pytest.skip("this C library has no mallopt")
    _, without = faults("None")
    assert with_it < 200
    assert without > 10 * with_it + 300  # huge pages, where the system has them, make it fewer than 10 * 16384


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_a_users_own_choice_stands():
    assert not faults("keep_memory()", MALLOC_ARENA_MAX="2")[0]
