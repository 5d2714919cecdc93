"""Slots: which cores and GPUs each of the jobs that run at the same time has to itself."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from landbridge.errors import LandbridgeError
from landbridge.sweeps.options import Options

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
DEVICES = "CUDA_VISIBLE_DEVICES"


def slots(options: Options, environment: Mapping[str, str], cores: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """Return what the environment of a job in each slot says beside the sweep's own.

    Args:
        options: of the sweep.
        environment: of the sweep; a number of threads that it sets stands unless the options set another.
        cores: that the sweep may use.
        gpus: that the sweep may use, as `CUDA_VISIBLE_DEVICES` names them.

    Raises:
        LandbridgeError: there are too few GPUs.
    """
    if (wanted := options.n_jobs * options.gpus_per_job) > len(gpus):
        raise LandbridgeError(
            f"hydra.launcher: {options.n_jobs} jobs with {options.gpus_per_job} GPUs each need {wanted} GPUs, "
            f"and {len(gpus)} are visible: lower n_jobs or gpus_per_job"
        )
    threads = options.threads or environment.get(THREADS[0]) or max(1, cores // options.n_jobs)
    shared = dict.fromkeys(THREADS, str(threads))
    own = [gpus[slot * options.gpus_per_job :][: options.gpus_per_job] for slot in range(options.n_jobs)]
    return [shared | ({DEVICES: ",".join(devices)} if devices else {}) for devices in own]


def visible_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use: what `CUDA_VISIBLE_DEVICES` lists, or else all there are."""
    if (listed := os.environ.get(DEVICES)) is not None:
        return [name for name in listed.split(",") if name]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []
