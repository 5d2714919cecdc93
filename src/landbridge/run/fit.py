"""Training: builds strategy, trainer and cache, and trains."""

import logging
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from landbridge.activation_cache import Cache, Off
from landbridge.config.build import build, factory, nodes_of
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.record import Record
from landbridge.run.clock import Clock
from landbridge.run.epochs import Epochs
from landbridge.run.folder import RunFolder
from landbridge.run.labelled_settings import require_labelled_settings
from landbridge.run.prepare import Prepared
from landbridge.run.samples import Samples
from landbridge.run.trainers import fit_trainer, rebuilds
from landbridge.selection import Rule
from landbridge.strategies.base import Strategy
from landbridge.strategies.terms import join_terms
from landbridge.tasks import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A run after training.

    Attributes:
        strategy: the strategy that is tested.
        data: the training data.
        trainer: the trainer.
        epochs: scores and checkpoints.
        cache: the cache of activations.
        samples: a few test samples, embedded before training.
    """

    strategy: Strategy
    data: TransferData
    trainer: Trainer
    epochs: Epochs
    cache: Cache
    samples: Samples


def fit(
    cfg: DictConfig, prepared: Prepared, record: Record, place: RunFolder, clock: Clock, logger: Logger | None
) -> Fitted:
    """Train the strategy, from the last checkpoint if there is one.

    Args:
        cfg: the checked configuration.
        prepared: the run before training.
        record: record of the run; epochs and cost are added to it.
        place: the run's folder.
        clock: clock of the run.
        logger: logger of the run.
    """

    def keep(rows: list[dict[str, Any]]) -> None:
        record.epochs = rows
        record.cost |= clock.cost()
        place.write()

    epochs = Epochs(build(cfg.selection), prepared.streams, place.path, cfg.checkpoint_every, keep, cfg.get("patience"))
    averaging = [build(cfg.averaging)] if cfg.get("averaging") else []
    others = [build(node) for _, node in nodes_of("callbacks", cfg.get("callbacks"))]
    trainer = fit_trainer(cfg, logger, [epochs, *averaging, *others], place.path)
    read = partial(
        factory(cfg.data), processes=trainer.num_devices * trainer.num_nodes, reading_epochs=cfg.trainer.max_epochs
    )
    data: TransferData = read(streams=prepared.streams)
    strategy = build_strategy(
        cfg,
        prepared.network,
        prepared.streams.task,
        prepared.streams.source_task,
        data.steps_per_epoch * cfg.trainer.max_epochs,
    )
    require_labelled_settings(cfg, strategy, prepared.streams)
    strategy.load_auxiliary_state(prepared.start.auxiliary_state)
    trains = strategy.requirements.trains
    if trains:
        trainer.fit_loop.max_epochs = cfg.trainer.max_epochs + strategy.further_epochs
        if epochs.patience and strategy.further_epochs:
            raise LandbridgeError(
                f"patience={epochs.patience}: strategy {type(strategy).__name__} evaluates versions of the trained "
                "model after the planned epochs, and cannot stop before: set patience=null"
            )
        _caution(epochs.rule, strategy)
    parameters, trainable = strategy.parameter_counts()
    record.cost = clock.cost() | {"parameters": parameters, "trainable_parameters": trainable}
    place.write()

    rebuilt = rebuilds(cfg, trainer, strategy, epochs.rule)
    cache: Cache = Off() if rebuilt else build(cfg.cache)
    with clock("cache"):
        splits = [split.inputs for domain in prepared.domains.values() for split in domain.splits.values()]
        streams = cache.attach(strategy, data, splits, trainer, record.config["backbone"])
        data = read(streams=streams)
    with clock("test"):
        device = trainer.strategy.root_device
        samples = Samples(prepared.network, prepared.domains, streams.format, device, streams.cached)
    # Some trainers change the structure of the network. Then the test uses a copy, which gets the weights of the chosen
    # checkpoint.
    tested = deepcopy(strategy) if rebuilt and trains else strategy
    with clock("train"):
        if trains:
            try:
                trainer.fit(strategy, data, ckpt_path=prepared.checkpoint, weights_only=True)
            except MisconfigurationException as error:
                raise LandbridgeError(f"Lightning refuses the configuration: {error}") from error
    return Fitted(tested, data, trainer, epochs, cache, samples)


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


def _caution(rule: Rule, strategy: Strategy) -> None:
    """Log a warning about known failures of the selection rule, and one if training minimises the rule's score."""
    if rule.caution:
        log.warning("selection=%s: %s", rule.name, rule.caution)
    biased = set(strategy.requirements.biased_rules)
    for term in strategy.terms.values():
        biased |= term.biased_rules if term.weight else set()
    if rule.name in biased:
        log.warning("selection=%s scores what training minimises: the score is a poor measure of accuracy", rule.name)
