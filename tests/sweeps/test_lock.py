import os
import subprocess
import sys
import time

import pytest

from landbridge.errors import LandbridgeError
from landbridge.sweeps.lock import lock


def test_only_one_sweep_at_a_time_can_use_a_folder(tmp_path):
    first = lock(tmp_path / "sweep")
    with pytest.raises(LandbridgeError, match=rf"another sweep runs in .*sweep \(process {os.getpid()}\)"):
        lock(tmp_path / "sweep")
    os.close(first)
    os.close(lock(tmp_path / "sweep"))


def test_a_sweep_waits_for_the_remaining_jobs_of_a_killed_sweep(tmp_path):
    first = lock(tmp_path)
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"], pass_fds=[first])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    os.ftruncate(first, 0)
    os.pwrite(first, str(gone.pid).encode(), 0)  # the sweep that took the lock has ended
    os.close(first)
    began = time.monotonic()
    second = lock(tmp_path)
    assert time.monotonic() - began > 0.3
    assert left.wait() == 0
    os.close(second)
