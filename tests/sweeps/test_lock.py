import os
import subprocess
import sys
import time

import pytest

from landbridge.errors import LandbridgeError
from landbridge.sweeps.lock import forget, lock


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


def test_a_folder_without_jobs_is_removed_and_one_with_jobs_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = lock(tmp_path / "outputs" / "sweep")
    (tmp_path / "outputs" / "sweep" / "job").mkdir()
    forget(tmp_path / "outputs" / "sweep")
    assert (tmp_path / "outputs" / "sweep" / ".lock").exists()
    (tmp_path / "outputs" / "sweep" / "job").rmdir()
    forget(tmp_path / "outputs" / "sweep")
    assert not list(tmp_path.iterdir())
    # A sweep that has opened the removed file must not take it for the lock of the folder.
    again = lock(tmp_path / "outputs" / "sweep")
    assert os.fstat(again).st_ino == (tmp_path / "outputs" / "sweep" / ".lock").stat().st_ino
    os.close(held)
    os.close(again)
