"""The environment of a run: versions of libraries, git revision and hardware; and the memory that the run took."""

import os
import platform
import resource
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "landbridge",
    "torch",
    "pytorch-lightning",
    "hydra-core",
    "timm",
    "torchmetrics",
    "numpy",
    "scikit-learn",
    "peft",
)


def environment() -> dict[str, Any]:
    """Return library versions, git revision and hardware."""
    import torch

    return {
        "python": platform.python_version(),
        "versions": dict(_versions()),
        "git": _git_revision(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def peak_memory_bytes() -> dict[str, int]:
    """Return the peak memory of this process in bytes, and its peak memory on the GPU if there is one."""
    import torch

    unit = 1 if platform.system() == "Darwin" else 1024
    peaks = {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if torch.cuda.is_available():
        peaks["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
    return peaks


@cache
def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = None
    return versions


@cache
def _git_revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
