import pytest

from landbridge.errors import LandbridgeError
from landbridge.sweeps.options import Options
from landbridge.sweeps.slots import slots, visible_gpus


@pytest.mark.parametrize(
    ("n_jobs", "threads", "environment", "expected"),
    [
        (1, None, {}, "8"),
        (3, None, {}, "2"),
        (16, None, {}, "1"),
        (2, 3, {}, "3"),
        (2, None, {"OMP_NUM_THREADS": "5"}, "5"),
        (2, 3, {"OMP_NUM_THREADS": "5"}, "3"),
    ],
)
def test_jobs_share_the_cores(n_jobs, threads, environment, expected):
    found = slots(Options(n_jobs=n_jobs, threads=threads), environment, cores=8, gpus=["0"])
    assert len(found) == n_jobs
    for slot in found:
        assert set(slot.values()) == {expected}
        assert "CUDA_VISIBLE_DEVICES" not in slot


def test_no_two_jobs_share_a_gpu():
    found = slots(Options(n_jobs=2, gpus_per_job=2), {}, cores=8, gpus=["2", "3", "5", "GPU-7", "9"])
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in found] == ["2,3", "5,GPU-7"]


def test_too_few_gpus_are_refused():
    with pytest.raises(LandbridgeError, match="need 6 GPUs, but 5 are visible"):
        slots(Options(n_jobs=3, gpus_per_job=2), {}, cores=8, gpus=list("01234"))


def test_visible_gpus_are_those_in_cuda_visible_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert visible_gpus() == ["3", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_without_cuda_visible_devices_nvidia_smi_lists_the_gpus(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ["0", "1"]
    program.unlink()
    assert visible_gpus() == []


@pytest.mark.parametrize("setting", [{"n_jobs": 0}, {"threads": 0}, {"gpus_per_job": -1}])
def test_values_below_the_minimum_are_refused(setting):
    with pytest.raises(LandbridgeError, match=rf"hydra\.launcher\.{next(iter(setting))}="):
        Options(**setting)
