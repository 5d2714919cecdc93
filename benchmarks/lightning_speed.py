"""Measure the time that each part of `landbridge.training.lightning_speed` saves, in microseconds per step.

The same training runs alternately with a part and without it, several times. The median difference is printed.

    python benchmarks/lightning_speed.py [--repeats 7] [--epochs 2]
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning import LightningModule
from pytorch_lightning.profilers import PassThroughProfiler

from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.cli.overrides import as_additions
from landbridge.run import trainers
from landbridge.run.run import run
from landbridge.strategies.base import Strategy
from landbridge.training.lightning_speed import FastModule

STEPS = 200


@contextmanager
def with_driver_check() -> Iterator[None]:
    """Enable the driver check that Lightning does by default."""
    with (
        patch.object(trainers, "skip_driver_check", lambda: None),
        patch.dict(os.environ, {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}),
    ):
        yield


def parts() -> dict[str, Any]:
    """Return, by name, a function whose context disables the part."""
    return {
        "NoProfiler": lambda: patch.object(trainers, "NoProfiler", PassThroughProfiler),
        "__setattr__": lambda: patch.object(FastModule, "__setattr__", torch.nn.Module.__setattr__),
        "transfer_batch_to_device": lambda: patch.object(
            FastModule, "transfer_batch_to_device", LightningModule.transfer_batch_to_device
        ),
        "skip_driver_check": with_driver_check,
    }


def step_seconds(epochs: int) -> float:
    """Train and return the seconds per training step, without validation."""
    seconds = 0.0

    def begin(self: Strategy) -> None:
        nonlocal seconds
        started(self)
        seconds -= time.process_time()

    def end(self: Strategy) -> None:
        nonlocal seconds
        seconds += time.process_time()

    started = Strategy.on_train_epoch_start
    overrides = [
        *("strategy=source_only", "backbone=mlp", "backbone.widths=[16]", "data.batch_size=16", "logger=none"),
        *(f"data.steps_per_epoch={STEPS}", f"trainer.max_epochs={epochs}", "cache=off", "checkpoint_every=1000"),
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(Strategy, "on_train_epoch_start", begin),
        patch.object(Strategy, "on_validation_start", end),
    ):
        run(compose("train", as_additions(overrides)), Path(folder), overrides)
    return seconds / (STEPS * epochs)


def main() -> None:
    """Measure all parts and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--epochs", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    register_groups()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        step_seconds(1)
        for name, without in parts().items():
            saved = []
            for _ in range(options.repeats):
                quick = step_seconds(options.epochs)
                with without():
                    saved.append(step_seconds(options.epochs) - quick)
            low, median, high = (1e6 * each for each in (min(saved), statistics.median(saved), max(saved)))
            print(f"{name:26} saves {median:6.0f} us per step ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()
