"""Lightning as a run uses it: trainers, loggers, progress on a terminal and silence in a pipe."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy

from landbridge.config.build import build
from landbridge.errors import LandbridgeError
from landbridge.selection import Rule
from landbridge.strategies.base import Strategy
from landbridge.training.lightning_speed import NoProfiler, skip_driver_check
from landbridge.training.norm_layers import BATCH_NORMS

WEIGHTS_IN_HALF = ("16-true", "bf16-true")
#: Where Lightning calls a strategy between the steps in which the network runs as a whole.
BETWEEN_STEPS = ("on_train_start", "on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end")


def fit_trainer(cfg: DictConfig, logger: Logger | None, callbacks: list[Callback], folder: Path) -> Trainer:
    """Make the trainer that fits: a progress bar on a terminal, nothing in a pipe."""
    epochs = cfg.trainer.get("max_epochs")
    if epochs is None or epochs < 1:
        raise LandbridgeError(f"trainer.max_epochs={epochs}: training takes a planned number of epochs, at least 1")
    precision = str(cfg.trainer.get("precision", ""))
    if precision in WEIGHTS_IN_HALF:
        raise LandbridgeError(
            f"trainer.precision={precision} keeps the weights themselves in low precision, where losses that compare "
            f"domains cancel; nearest: {precision.removesuffix('-true')}-mixed"
        )
    skip_driver_check()
    terminal = sys.stderr.isatty() and cfg.trainer.get("enable_progress_bar", True)
    try:
        return build(
            cfg.trainer,
            logger=logger or False,
            callbacks=[*callbacks, RichProgressBar()] if terminal else callbacks,
            enable_progress_bar=terminal,
            **({} if cfg.trainer.get("profiler") else {"profiler": NoProfiler()}),
            default_root_dir=str(folder),
            # Streams shard themselves, so that all of them are sharded alike.
            use_distributed_sampler=False,
            # Losses are logged once an epoch.
            log_every_n_steps=1,
            num_sanity_val_steps=0,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise LandbridgeError(f"trainer: {error}") from error


def rebuilds(cfg: DictConfig, trainer: Trainer, strategy: Strategy, rule: Rule) -> bool:
    """Say whether training takes the network apart: shards its weights, or puts other BatchNorm layers in their places.

    Args:
        cfg: the run's configuration.
        trainer: made from it.
        strategy: that it is to train.
        rule: scores its epochs.

    Raises:
        LandbridgeError: something needs what would not be there.
    """
    synchronises = bool(cfg.trainer.get("sync_batchnorm"))
    name = type(strategy).__name__
    if synchronises and any(m._forward_hooks for m in strategy.modules() if isinstance(m, BATCH_NORMS)):
        raise LandbridgeError(
            f"trainer.sync_batchnorm replaces BatchNorm layers that strategy {name} has changed itself"
        )
    if synchronises and isinstance(trainer.strategy, DDPStrategy) and trainer.strategy.root_device.type == "cpu":
        raise LandbridgeError("trainer.sync_batchnorm: processes synchronise BatchNorm on GPUs only")
    if isinstance(trainer.strategy, FSDPStrategy):
        between = any(getattr(type(strategy), hook) is not getattr(Strategy, hook) for hook in BETWEEN_STEPS)
        for who, where in (
            (f"strategy {name}", between or not strategy.automatic_optimization),
            ("averaging", cfg.get("averaging")),
            (f"freeze {type(strategy.trainable.policy).__name__}", strategy.trainable.changes),
            (f"selection={rule.name}", rule.predicts),
            (f"trainer.precision={trainer.precision}", trainer.precision != "32-true"),
        ):
            if where:
                raise LandbridgeError(f"{who} needs whole weights, which FSDP keeps in parts: use trainer=ddp")
        return True
    return synchronises


def test_trainer(trainer: Trainer, strategy: Strategy) -> Trainer:
    """Make the trainer that tests, on one device: a sampler for several would count some samples twice."""
    return Trainer(
        # Lightning leaves a strategy on the CPU after training, wherever that took place.
        accelerator="cpu" if isinstance(trainer.accelerator, CPUAccelerator) else "auto",
        devices=1,
        precision=trainer.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=not strategy.requirements.adapts_at_test,
    )


@contextmanager
def logging_to(
    node: DictConfig | None, folder: Path, config: dict[str, Any], tags: list[str]
) -> Iterator[Logger | None]:
    """Build the configured logger, give it the configuration, and close it with the right status.

    Args:
        node: names the logger; None for none.
        folder: where it writes.
        config: the resolved configuration.
        tags: of the run, where the logger knows tags.
    """
    if node is None:
        yield None
        return
    logger: Logger = build(node, save_dir=str(folder), **({"tags": tags} if "Wandb" in node._target_ else {}))
    failed = True
    try:
        logger.log_hyperparams(config)
        yield logger
        failed = False
    finally:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger):
            # One run of wandb for one run of landbridge, also where several share a process.
            logger.experiment.finish(exit_code=int(failed))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning says of what is meant: data read in the main process, frozen stages in evaluation mode."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        # The module's own way of moving batches is meant: see `lightning_speed`.
        warnings.filterwarnings("ignore", message=".*overridden `transfer_batch_to_device` in `LightningModule`.*")
        # Epochs' losses and scores are in the record; the logger shows those of the first process.
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        yield
