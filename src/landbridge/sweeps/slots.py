"""Slots: the cores and GPUs of each of the jobs that run at the same time."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from landbridge.errors import LandbridgeError
from landbridge.sweeps.options import Options

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
DEVICES = "CUDA_VISIBLE_DEVICES"


def slots(options: Options, environment: Mapping[str, str], cores: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Return the environment variables of each slot. A job gets them in addition to those of the sweep.

    Args:
        options: settings of the sweep.
        environment: environment of the sweep. Its number of threads is used unless the options set another.
        cores: number of cores that the sweep may use.
        gpus: GPUs that the sweep may use, named as in `CUDA_VISIBLE_DEVICES`.

    Raises:
        LandbridgeError: there are too few GPUs.
    """
    if (wanted := options.n_jobs * options.gpus_per_job) > len(gpus):
        raise LandbridgeError(
            f"hydra.launcher: {options.n_jobs} jobs with {options.gpus_per_job} GPUs each need {wanted} GPUs, "
            f"but {len(gpus)} are visible: lower n_jobs or gpus_per_job"
        )
    threads = options.threads or environment.get(THREADS[0]) or max(1, cores // options.n_jobs)
    shared = dict.fromkeys(THREADS, str(threads))
    own = [gpus[slot * options.gpus_per_job :][: options.gpus_per_job] for slot in range(options.n_jobs)]
    return [shared | ({DEVICES: ",".join(devices)} if devices else {}) for devices in own]


def visible_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use: those in `CUDA_VISIBLE_DEVICES`, or all if it is not set."""
    if (listed := os.environ.get(DEVICES)) is not None:
        return [name for name in listed.split(",") if name]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []
