"""Whatever stops a run from outside is an interruption; a fault of the run itself is not."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from landbridge.errors import LandbridgeError
from landbridge.run.interruption import interruption, request_to_stop
from photographs import photographs


class Ends(Dataset):
    """Samples whose worker process ends while it reads."""

    def __init__(self, end) -> None:
        self.end = end

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index):
        self.end()
        return torch.zeros(1)


def by(number: int):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def told(monkeypatch):
    """Torch learns how a worker has ended. After a run, Lightning has removed the handler that it needs for this."""
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


def error_of(end) -> BaseException:
    """Return the error that a loader raises when its worker ends in a real process."""
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Ends(end), num_workers=1))
    return caught.value


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_worker_that_is_killed_from_outside_interrupts_the_run(number):
    reason = interruption(error_of(by(number)))
    assert reason is not None
    assert reason.startswith("interrupted: a worker process that reads samples was killed by the signal ")


def test_a_worker_that_is_killed_interrupts_the_run_also_if_nothing_says_how_it_has_ended(monkeypatch):
    monkeypatch.setattr("landbridge.run.interruption.PATIENCE", 0.1)
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", True)
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        reason = interruption(error_of(by(signal.SIGKILL)))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (reason or "").startswith("interrupted: a worker process that reads samples has ended without a word")


@pytest.mark.usefixtures("told")
def test_a_worker_that_ends_itself_is_a_fault(monkeypatch):
    monkeypatch.setattr("landbridge.run.interruption.PATIENCE", 0.1)
    assert interruption(error_of(lambda: os._exit(3))) is None


def test_the_error_of_a_lost_process_waits_for_the_signal_to_the_run_itself():
    before = signal.signal(signal.SIGTERM, lambda *_: exit(143))
    late = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    late.start()
    try:
        assert interruption(ConnectionResetError("the peer has closed the connection")) == "interrupted"
    finally:
        late.join()
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "error", [LandbridgeError("bad"), ValueError("bad"), RuntimeError("bad"), OSError("disk full")]
)
def test_other_errors_are_faults_at_once(error, monkeypatch):
    monkeypatch.setattr("landbridge.run.interruption.time.sleep", lambda _: pytest.fail("it has waited"))
    assert interruption(error) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)])
def test_signals_to_the_run_itself_are_interruptions(error):
    assert interruption(error) == "interrupted"


@pytest.mark.parametrize("first", [KeyboardInterrupt(), SystemExit(143)])
def test_an_error_that_follows_a_signal_is_an_interruption(first):
    def stopped() -> None:
        try:
            raise first
        finally:
            raise RuntimeError("the clean-up failed")

    with pytest.raises(RuntimeError) as caught:
        stopped()
    assert interruption(caught.value) == "interrupted"
    assert request_to_stop(caught.value) is first


# ---- what would wait for ever

WAITS = """
import signal, sys, threading
from landbridge.cli.exit import told_in_short
from landbridge.run import interruption
interruption.GRACE = 0.5
with told_in_short(), interruption.ending_on_sigterm():
    print("ready", flush=True)
    # As the wait for another process does: in compiled code, without the interpreter.
    import ctypes
    ctypes.CDLL(None).usleep(ctypes.c_uint(60_000_000)) if sys.argv[1] == "compiled" else threading.Event().wait(60)
"""


@pytest.mark.parametrize("where", ["compiled", "python"])
def test_a_process_that_waits_for_others_ends_on_sigterm(where):
    process = subprocess.Popen([sys.executable, "-c", WAITS, where], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    process.stdout.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize(
    ("pipe", "overrides"),
    [
        ("photos/red/pipe.png", ["target=image_folder", "target.root=photos"]),
        ("pipe.csv", ["target=image_folder", "target.root=photos", "target.groups=../pipe.csv"]),
        ("pipe.npz", ["target=vectors", "target.file=pipe.npz"]),
        ("pipe.csv", ["target=table", "target.file=pipe.csv", "target.label=y", "target.text=t"]),
        ("pipe.ckpt", ["start=checkpoint", "start.path=pipe.ckpt"]),
        ("pipe.pth", ["start=pretrained", "start.path=pipe.pth"]),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_refused(pipe, overrides, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "photos", each=10)
    os.mkfifo(tmp_path / pipe)

    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("something has waited for the pipe"))
    signal.alarm(20)
    try:
        with pytest.raises(LandbridgeError, match=f"{Path(pipe).name}"):
            tiny("source=null", "strategy=target_only", "target_labels=all", *overrides)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
