"""Training: builds strategy, trainer and cache, and trains."""

import logging
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger

from landbridge.activation_cache import Cache, Off
from landbridge.config.build import build
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.run.assemble import assemble
from landbridge.run.clock import Clock
from landbridge.run.company import Company
from landbridge.run.epochs import Epochs
from landbridge.run.folder import RunFolder
from landbridge.run.interruption import ending_on_sigterm
from landbridge.run.prepare import Prepared
from landbridge.run.progress import Progress
from landbridge.run.samples import Samples
from landbridge.selection import Rule
from landbridge.strategies.base import Strategy

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
    cfg: DictConfig,
    prepared: Prepared,
    record: Record,
    place: RunFolder,
    clock: Clock,
    logger: Logger | None,
    company: Company,
) -> Fitted:
    """Train the strategy, from the last checkpoint if there is one.

    Args:
        cfg: the checked configuration.
        prepared: the run before training.
        record: record of the run; epochs and cost are added to it.
        place: the run's folder.
        clock: clock of the run.
        logger: logger of the run.
        company: the other runs of this process.
    """

    def keep(rows: list[dict[str, Any]]) -> None:
        record.epochs = rows
        record.cost |= clock.cost()
        place.write()
        if not trainer.progress_bar_callback:
            progress(len(rows))

    progress = Progress(cfg.name, cfg.trainer.max_epochs)
    parts = assemble(cfg, prepared.network, prepared.streams, place.path, logger, keep)
    epochs, trainer, data, strategy = parts.epochs, parts.trainer, parts.data, parts.strategy
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

    cache: Cache = Off() if parts.rebuilt else build(cfg.cache)
    with clock("cache"):
        tested = [domain.splits["test"].inputs for domain in prepared.domains.values()]
        streams = cache.attach(strategy, data, tested, trainer, record.config["backbone"])
        data = parts.read(streams=streams)
    with clock("test"):
        device = trainer.strategy.root_device
        samples = Samples(prepared.network, prepared.domains, streams.format, device, streams.cached)
    # Some trainers change the structure of the network. Then the test uses a copy, which gets the weights of the chosen
    # checkpoint.
    tested = deepcopy(strategy) if parts.rebuilt and trains else strategy
    with clock("train"):
        if trains:
            try:
                with ending_on_sigterm() if trainer.world_size > 1 else nullcontext():
                    company.train(trainer, strategy, data, prepared.checkpoint, epochs, clock)
            except MisconfigurationException as error:
                raise LandbridgeError(f"Lightning refuses the configuration: {error}") from error
    passes = strategy.passes * trainer.world_size
    record.cost |= {"steps": strategy.steps_taken, "passes": passes, **prepared.start.trained}
    return Fitted(tested, data, trainer, epochs, cache, samples)


def _caution(rule: Rule, strategy: Strategy) -> None:
    """Log a warning about known failures of the selection rule, and one if training minimises the rule's score."""
    if rule.caution:
        log.warning("selection=%s: %s", rule.name, rule.caution)
    biased = set(strategy.requirements.biased_rules)
    for term in strategy.terms.values():
        biased |= term.biased_rules if term.weight else set()
    if rule.name in biased:
        log.warning("selection=%s scores what training minimises: the score is a poor measure of accuracy", rule.name)
