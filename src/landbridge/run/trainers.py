"""Lightning's trainers and loggers for a run, with progress bars only on a terminal."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy
from pytorch_lightning.strategies.launchers.multiprocessing import _MultiProcessingLauncher

from landbridge.config.build import build
from landbridge.config.reasons import explained, raised_in
from landbridge.errors import LandbridgeError
from landbridge.selection import Rule
from landbridge.strategies.base import Strategy
from landbridge.training.lightning_speed import NoProfiler, skip_driver_check
from landbridge.training.norm_layers import BATCH_NORMS

WEIGHTS_IN_HALF = ("16-true", "bf16-true")
#: Hooks that Lightning calls between training steps. FSDP has no whole weights there.
BETWEEN_STEPS = ("on_train_start", "on_train_epoch_start", "on_train_batch_end", "on_train_epoch_end")


def fit_trainer(cfg: DictConfig, logger: Logger | None, callbacks: list[Callback], folder: Path) -> Trainer:
    """Make the trainer for training. It shows a progress bar only on a terminal.

    Raises:
        LandbridgeError: the number of epochs, the precision or the number of nodes is refused, or Lightning refuses a
            setting.
    """
    epochs = cfg.trainer.get("max_epochs")
    if epochs is None or epochs < 1:
        raise LandbridgeError(f"trainer.max_epochs={epochs} is not a valid number of epochs: set an integer >= 1")
    precision = str(cfg.trainer.get("precision", ""))
    if precision in WEIGHTS_IN_HALF:
        raise LandbridgeError(
            f"trainer.precision={precision} keeps the weights in low precision, which is too inexact for losses that "
            f"compare domains; nearest: {precision.removesuffix('-true')}-mixed"
        )
    skip_driver_check()
    terminal = sys.stderr.isatty() and cfg.trainer.get("enable_progress_bar", True)
    trainer: Trainer = build(
        cfg.trainer,
        logger=logger or False,
        callbacks=[*callbacks, RichProgressBar()] if terminal else callbacks,
        enable_progress_bar=terminal,
        **({} if cfg.trainer.get("profiler") else {"profiler": NoProfiler()}),
        default_root_dir=str(folder),
        # Landbridge distributes the samples over processes itself, in the same way for all streams.
        use_distributed_sampler=False,
        # Losses are logged only once in each epoch, and no such step may be skipped.
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        name = cfg.trainer.get("strategy", "auto")
        raise LandbridgeError(
            f"trainer.strategy={name} copies the run into new processes, which landbridge's data do not allow; "
            "nearest: ddp"
        )
    _require_cluster(trainer)
    return trainer


def _require_cluster(trainer: Trainer) -> None:
    """Refuse several nodes if nothing says where the others are: the processes would wait for each other for ever."""
    alone = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    by_hand = "MASTER_ADDR" in os.environ and bool({"NODE_RANK", "GROUP_RANK"} & {*os.environ})
    if trainer.num_nodes > 1 and alone and not by_hand:
        raise LandbridgeError(
            f"trainer.num_nodes={trainer.num_nodes}: no cluster has started this process, so it would wait for the "
            "other nodes for ever: start it with Slurm or torchrun, set MASTER_ADDR and NODE_RANK on every node, or "
            "set trainer.num_nodes=1"
        )


def rebuilds(cfg: DictConfig, trainer: Trainer, strategy: Strategy, rule: Rule) -> bool:
    """Return whether training changes the structure of the network: it shards weights or replaces BatchNorm layers.

    Args:
        cfg: the run's configuration.
        trainer: the trainer that was made from it.
        strategy: the strategy that will be trained.
        rule: the selection rule.

    Raises:
        LandbridgeError: a part of the run cannot work with the changed network.
    """
    synchronises = bool(cfg.trainer.get("sync_batchnorm"))
    name = type(strategy).__name__
    if synchronises and any(m._forward_hooks for m in strategy.modules() if isinstance(m, BATCH_NORMS)):
        raise LandbridgeError(
            f"trainer.sync_batchnorm=true replaces BatchNorm layers that strategy {name} has changed: "
            "set trainer.sync_batchnorm=false"
        )
    if synchronises and isinstance(trainer.strategy, DDPStrategy) and trainer.strategy.root_device.type == "cpu":
        raise LandbridgeError("trainer.sync_batchnorm=true works on GPUs only: set trainer.sync_batchnorm=false")
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
    """Make the trainer for testing. It uses one device, because with several, some samples would be counted twice."""
    return Trainer(
        # After training, Lightning moves the strategy to the CPU, so the device must come from the trainer.
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
    node: DictConfig | None, folder: Path, config: dict[str, Any], tags: list[str], fingerprint: str
) -> Iterator[Logger | None]:
    """Build the configured logger, log the configuration, and close the logger with the right status.

    Args:
        node: configuration of the logger; with None, there is no logger.
        folder: folder for the logger's files.
        config: the resolved configuration.
        tags: tags of the run; only wandb uses them.
        fingerprint: of the run. An interrupted run goes on as the same run of wandb, whose id is a hash of fingerprint
            and folder.
    """
    if node is None:
        yield None
        return
    more = {}
    if "Wandb" in node._target_:
        identity = blake2b(f"{fingerprint} {folder.resolve()}".encode(), digest_size=8).hexdigest()
        more = {"tags": tags} | ({} if node.get("id") or node.get("version") else {"id": identity})
    logger: Logger = build(node, save_dir=str(folder), **more)
    failed = True
    try:
        with explained(node):
            logger.log_hyperparams(config)
        try:
            yield logger
        except Exception as error:
            with explained(node if raised_in(error, "pytorch_lightning.loggers", "tensorboard", "wandb") else None):
                raise
        failed = False
    finally:
        # Some loggers cannot finish what they could not begin. Then their first error is the message.
        with suppress(Exception) if failed else nullcontext():
            logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger) and logger._experiment is not None:
            # Each run of landbridge is one run of wandb, even if several runs share a process.
            logger.experiment.finish(exit_code=int(failed))


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Lightning's warnings about intended behaviour, such as frozen stages in evaluation mode."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        # These overrides are intended: see `lightning_speed` and `Strategy`.
        for hook in ("transfer_batch_to_device", "on_after_batch_transfer"):
            warnings.filterwarnings("ignore", message=f".*overridden `{hook}` in `LightningModule`.*")
        # The record has the losses and scores of every epoch. The logger shows the values of the first process.
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        yield
