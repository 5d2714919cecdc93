"""Builds all parts that train, and finds the faults of their combination before anything is computed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from landbridge.config.build import build, factory, nodes_of
from landbridge.data.transfer import TransferData
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.run.epochs import Epochs
from landbridge.run.labelled_settings import require_labelled_settings
from landbridge.run.trainers import fit_trainer, rebuilds
from landbridge.strategies.base import Strategy
from landbridge.strategies.made_up_step import require_reach_over_frozen_stages
from landbridge.strategies.terms import join_terms
from landbridge.tasks import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The parts that train.

    Attributes:
        epochs: scores and checkpoints.
        trainer: the trainer.
        read: makes the training data from its `streams`.
        data: the training data.
        strategy: the strategy with its network.
        rebuilt: whether training changes the structure of the network.
    """

    epochs: Epochs
    trainer: Trainer
    read: Callable[..., TransferData]
    data: TransferData
    strategy: Strategy
    rebuilt: bool


def assemble(
    cfg: DictConfig,
    network: Network,
    streams: TransferStreams,
    folder: Path,
    logger: Logger | None = None,
    report: Callable[[list[dict[str, Any]]], None] = lambda rows: None,
) -> Parts:
    """Build selection rule, averaging, trainer, data and strategy.

    Args:
        cfg: the checked configuration.
        network: the network.
        streams: the streams that training may read.
        folder: folder of the run.
        logger: logger of the run.
        report: called with the rows of all epochs so far at the end of each epoch.

    Raises:
        LandbridgeError: a setting is refused, or two of them do not fit together.
    """
    epochs = Epochs(build(cfg.selection), streams, folder, cfg.checkpoint_every, report, cfg.get("patience"))
    averaging = [build(cfg.averaging)] if cfg.get("averaging") else []
    others = [build(node) for _, node in nodes_of("callbacks", cfg.get("callbacks"))]
    trainer = fit_trainer(cfg, logger, [epochs, *averaging, *others], folder)
    read = partial(
        factory(cfg.data), processes=trainer.num_devices * trainer.num_nodes, reading_epochs=cfg.trainer.max_epochs
    )
    data: TransferData = read(streams=streams)
    steps = data.steps_per_epoch * cfg.trainer.max_epochs
    strategy = build_strategy(cfg, network, streams.task, streams.source_task, steps)
    require_labelled_settings(cfg, strategy, streams)
    require_work(strategy)
    return Parts(epochs, trainer, read, data, strategy, rebuilds(cfg, trainer, strategy, epochs.rule))


def build_strategy(cfg: DictConfig, network: Network, task: Task, source_task: Task | None, steps: int) -> Strategy:
    """Build the strategy with its network, freezing policy, optimizer, schedule and auxiliary losses.

    Args:
        cfg: the checked configuration.
        network: the network with its initial weights.
        task: task of the target.
        source_task: task of the source, if the source has a head of its own.
        steps: planned number of training batches in all.

    Raises:
        LandbridgeError: the strategy cannot use a setting.
    """
    smoothing = cfg.get("label_smoothing") or 0.0
    strategy: Strategy = build(
        cfg.strategy,
        network=network,
        task=task.smoothed(smoothing),
        source_task=source_task and source_task.smoothed(smoothing if source_task.can_be_smoothed else 0.0),
        freeze=build(cfg.freeze, epochs=cfg.trainer.max_epochs),
        optimizer=factory(cfg.optimizer),
        schedule=build(cfg.scheduler),
        steps=steps,
        terms=join_terms(cfg.strategy.get("terms"), cfg.get("terms")),
        **_learning_rates(cfg),
    )
    name, requirements = type(strategy).__name__, strategy.requirements
    depth = cfg.freeze.get("depth")
    if requirements.frozen_backbone and (depth not in (None, "all") or not cfg.freeze._target_.endswith(".Depth")):
        log.warning("strategy %s freezes all stages: the setting of freeze has no effect", name)
    if cfg.get("averaging") and not (requirements.trains and requirements.can_be_averaged):
        raise LandbridgeError(f"averaging: {name} sets its weights itself; use averaging=none")
    for setting, default in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
        if not strategy.automatic_optimization and cfg.trainer.get(setting, default) != default:
            raise LandbridgeError(
                f"trainer.{setting}: {name} makes its optimizer steps itself and cannot use this setting; remove it"
            )
    return strategy


def require_work(strategy: Strategy) -> None:
    """Refuse a strategy with nothing to train, or with a loss that trains nothing that is tested.

    Raises:
        LandbridgeError: names the setting or the loss.
    """
    if strategy.requirements.trains:
        # Lightning does this again when training begins, which is after all activations were computed.
        strategy.configure_optimizers()
    require_reach_over_frozen_stages(strategy)


def _learning_rates(cfg: DictConfig) -> dict[str, float]:
    """Return the relative learning rates of the run that the strategy does not set itself."""
    rates = {name: cfg.get(name) for name in ("backbone_lr_scale", "layer_decay")}
    changed = {name: rate for name, rate in rates.items() if rate not in (None, 1)}
    for name, rate in changed.items():
        if (own := cfg.strategy.get(name)) not in (None, rate):
            log.warning(
                "strategy %s has %s=%s of its own, so %s=%s has no effect on it: set strategy.%s to change it",
                *(cfg.strategy._target_.rpartition(".")[2], name, own, name, rate, name),
            )
    return {name: rate for name, rate in changed.items() if cfg.strategy.get(name) is None}
