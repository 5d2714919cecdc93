"""Threads that wait leave their cores to other processes, unless the user wants something else."""

import os
import subprocess
import sys

import pytest

SHOW = "import landbridge.training.freezing, landbridge.losses, torch; torch.ones(1) + 1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads what libgomp prints")
@pytest.mark.parametrize(("given", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_library_of_threads_has_read_the_policy(given, found):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": given} if given else {})
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True)
    assert f"OMP_WAIT_POLICY = '{found}'" in done.stderr
