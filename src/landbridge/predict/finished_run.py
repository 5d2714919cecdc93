"""Opens a finished run as a network. No domain is opened, so no data is read and no label."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from landbridge.config.build import build
from landbridge.config.check import check
from landbridge.data.formats import ImageFormat, TextFormat, VectorFormat
from landbridge.data.image_files import Reading
from landbridge.errors import LandbridgeError
from landbridge.models.checkpoint import CheckpointWeights
from landbridge.models.network import Network
from landbridge.models.tuning import restore_adapters
from landbridge.record import RECORD, Record, finished_record, selected_checkpoint
from landbridge.run.initial_network import build_network
from landbridge.strategies.base import Strategy
from landbridge.tasks import Task, task_of
from landbridge.training.freezing import Depth
from landbridge.training.schedules import Constant

#: The parts of a configuration that a network is built from.
PARTS = ("strategy", "backbone", "bottleneck", "head")


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with the network of the epoch that it chose.

    Attributes:
        folder: the run's folder.
        record: its record.
        checkpoint: the file of the weights.
        network: backbone and head in evaluation mode. LoRA is merged into the weights; adapters are kept.
        task: what is predicted.
    """

    folder: Path
    record: Record
    checkpoint: Path
    network: Network
    task: Task

    @property
    def format(self) -> ImageFormat | VectorFormat | TextFormat:
        """How raw samples become the input of the network."""
        return self.network.backbone.format  # pyright: ignore[reportReturnType] -- there are three kinds

    @property
    def target(self) -> Mapping[str, Any]:
        """The configuration of the run's target: how its data were read."""
        return self.record.config["target"]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The description of the samples that the run was trained on."""
        return self.record.data["target"].get("inputs", {})

    @property
    def reading(self) -> Reading:
        """How the run brought its image files to the size of the backbone."""
        return Reading(self.inputs.get("resize", "crop"), self.inputs.get("invert", False))


def open_run(folder: Path | str) -> FinishedRun:
    """Open a finished run.

    Args:
        folder: the run's folder, with its record and its checkpoint.

    Raises:
        LandbridgeError: there is no such run, it is not finished, it keeps no model, or its model cannot be built.
    """
    folder = Path(folder).expanduser()
    record = finished_record(folder)
    folder = folder.parent if folder.name == RECORD else folder
    checkpoint = selected_checkpoint(folder, record)
    cfg: Any = OmegaConf.create(record.config)
    check(cfg, PARTS)
    task = task_of(record.data["target"]["task"])
    separate = record.config.get("label_sets") == "different" and "source" in record.data
    source_task = task_of(record.data["source"]["task"]) if separate else None
    shape = record.data["target"].get("inputs", {}).get("shape")
    try:
        state = CheckpointWeights.read(checkpoint).network
    except LandbridgeError as error:
        # The user named a run, not `start.path`.
        reason = str(error).removeprefix("start.path: ")
        raise LandbridgeError(f"the weights of the run in {folder} cannot be read: {reason}; run it again") from error
    # A notebook's random numbers must not depend on whether a run was opened.
    with torch.random.fork_rng(devices=[]):
        network = build_network(cfg, task, shape, source_task)
        restore_adapters(network, state)
        # Some strategies change the modules of a network, such as the head of nearest neighbours.
        strategy: Strategy = build(
            cfg.strategy,
            network=network,
            task=task,
            freeze=Depth(),
            optimizer=torch.optim.SGD,
            schedule=Constant(),
            steps=1,
            terms=None,
        )
    network = strategy.network
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        fault = str(error).splitlines()[-1].strip()
        raise LandbridgeError(f"{checkpoint} does not fit the configuration in its record: {fault}") from error
    network.requires_grad_(False)
    return FinishedRun(folder, record, checkpoint, network.eval(), task)
