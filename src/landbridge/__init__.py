"""landbridge carries what a model learned in one domain over to another, and says honestly whether that helped.

In Python and in notebooks: `landbridge.train` runs one transfer, and `landbridge.load` opens a finished run as a model.
Large packages such as torch are imported when these functions are called.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

    from landbridge.predict.predictor import Predictor
    from landbridge.record import Record

import os

# Threads of OpenMP wait for each other at the end of every operation. By default they keep their cores busy while they
# wait. If another process needs a core too, each of these moments then lasts for its time slice, and training becomes
# several times slower. The library reads this variable when torch is imported, so it is set before any other import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"


def compose(overrides: "Sequence[str]" = (), config_dir: "Path | str | None" = None) -> "DictConfig":
    """Return the configuration of a command; see `landbridge.cli.compose.compose`."""
    from landbridge.cli.compose import compose

    return compose(overrides, config_dir)


def train(overrides: "Sequence[str]", folder: "Path | str", config_dir: "Path | str | None" = None) -> "Record":
    """Run one transfer, and return its record; see `landbridge.run.run.run`.

    Args:
        overrides: what one types after `landbridge`.
        folder: the run's folder.
        config_dir: a folder with configuration files of your own, as `--config-dir` names.

    Raises:
        LandbridgeError: the configuration, the data or the training has a fault. The message names it.
    """
    from landbridge.cli.compose import composed
    from landbridge.run.run import run

    cfg, choices = composed(overrides, config_dir)
    return run(cfg, Path(folder).expanduser(), overrides, choices)


def load(run: "Path | str", device: "torch.device | str | None" = None) -> "Predictor":
    """Open a finished run as a model that predicts new samples; see `landbridge.predict.predictor.Predictor`.

    Args:
        run: the run's folder.
        device: where the model runs; None: a GPU if there is one.

    Raises:
        LandbridgeError: there is no such run, it is not finished, or its model cannot be built.
    """
    from landbridge.predict.predictor import load

    return load(run, device)
