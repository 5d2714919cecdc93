"""One run, told from top to bottom."""

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from landbridge.build import build, factory
from landbridge.check import check
from landbridge.data.domain import Domain, require_same_classes
from landbridge.data.streams import choose_streams
from landbridge.data.transfer import TransferData
from landbridge.epochs import LAST, Epochs
from landbridge.errors import LandbridgeError
from landbridge.evaluate import choose_epoch, test_domains
from landbridge.network import Network
from landbridge.record import RECORD, Record, environment, fingerprint, peak_memory_bytes
from landbridge.start import Start
from landbridge.strategies.base import Strategy
from landbridge.strategies.terms import needs, weights

log = logging.getLogger(__name__)


def run(
    cfg: DictConfig, folder: Path, overrides: Sequence[str] = (), choices: Mapping[str, str] | None = None
) -> Record:
    """Run one transfer and leave its record.

    A folder that holds a finished run of the same fingerprint is returned as it is; a run that was interrupted there
    goes on from its last epoch.

    Args:
        cfg: the composed configuration.
        folder: where the record, checkpoints and logs go.
        overrides: what the user typed, for the record.
        choices: the option chosen in each config group, for the record.

    Raises:
        LandbridgeError: the configuration, the data or the training has a fault that the message names.
    """
    check(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    record = Record(
        name=cfg.name,
        overrides=list(overrides),
        choices=dict(choices or {}),
        config=config,
        environment=environment(),
    )
    loggers: list[Logger] = []
    with _failures_recorded(record, folder, loggers), _expected_warnings_silenced():
        clock = Clock()
        terms = weights(config.get("terms"))
        strategy_class: type[Strategy] = get_class(cfg.strategy._target_)  # type: ignore[assignment]
        start: Start = build(cfg.start)
        if strategy_class.continues_source and not start.brings_head:
            raise LandbridgeError(
                f"strategy {strategy_class.__name__} continues a source model: set start=source or start=checkpoint"
            )
        streams = choose_streams(
            strategy_class.__name__,
            strategy_class.needs | needs(terms),
            strategy_class.optional,
            cfg.target_labels,
            bool(cfg.get("source")),
        )
        with clock("data"):
            roles = ("source", "target") if "source" in streams or start.needs_source else ("target",)
            domains: dict[str, Domain] = {role: build(cfg[role]) for role in roles}
            if "source" in domains:
                require_same_classes(domains["source"], domains["target"])
            _describe(record, domains)
        previous, checkpoint = _earlier(folder, record)
        if previous:
            return previous

        with clock("start"):
            start.prepare(cfg, domains.get("source"), run)
        with clock("build"):
            seed_everything(cfg.seed, workers=True, verbose=False)
            network = Network(build(cfg.backbone), len(domains["target"].classes))
            loaded = start.apply(network)
            if loaded:
                record.start = loaded.to_json()
                log.info(loaded.summary())
            data: TransferData = build(
                cfg.data,
                source=domains.get("source") if "source" in streams else None,
                target=domains["target"],
                streams=streams,
                target_labels=cfg.target_labels,
                input=network.backbone.spec,
                seed=cfg.seed,
            )
            epochs = Epochs(build(cfg.selection), data, folder, lambda rows: _progress(record, rows, folder))
            if cfg.get("logger"):
                loggers.append(build(cfg.logger, save_dir=str(folder)))
            trainer = _trainer(cfg, loggers, [epochs], folder)
            data.processes = trainer.num_devices * trainer.num_nodes
            trainer.log_every_n_steps = min(50, data.steps_per_epoch)  # type: ignore[attr-defined]
            strategy: Strategy = build(
                cfg.strategy,
                network=network,
                freeze=build(cfg.freeze),
                optimizer=factory(cfg.optimizer),
                schedule=build(cfg.scheduler),
                steps=data.steps_per_epoch * (trainer.max_epochs or 1),
                terms=terms,
            )
            record.cost["parameters"], record.cost["trainable_parameters"] = strategy.parameter_counts()
        _write(record, folder)
        for logger in loggers:
            logger.log_hyperparams(config)

        with clock("train"):
            if strategy.trains:
                trainer.fit(strategy, data, ckpt_path=checkpoint, weights_only=True)
        if not trainer.is_global_zero:
            return record

        with clock("test"):
            chosen, path = choose_epoch(epochs, domains["target"]) if strategy.trains else (None, None)
            if path:
                strategy.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
            record.results = test_domains(strategy, data, domains, _test_trainer(trainer, strategy), folder)
        record.epochs = epochs.rows
        rule = epochs.rule
        record.selection = {
            "rule": rule.name,
            "epoch": chosen,
            "oracle": rule.oracle,
            "checkpoint": path.name if path else None,
        }
        record.seal = {
            split.labels.where: split.labels.openings for domain in domains.values() for split in domain.splits.values()
        }
        record.cost |= {"seconds": clock.total(), "phases": clock.phases, "peak_memory_bytes": peak_memory_bytes()}
        if torch.cuda.is_available():
            record.cost["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
        for logger in loggers:
            logger.log_metrics(_flat(record.results, "oracle/" if rule.oracle else "test/"), step=trainer.global_step)
        record.status = "done"
        _write(record, folder)
    return record


class Clock:
    """Adds up seconds by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._began = time.perf_counter()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time a block as part of a phase."""
        began = time.perf_counter()
        yield
        self.phases[phase] = round(self.phases.get(phase, 0.0) + time.perf_counter() - began, 3)

    def total(self) -> float:
        """Return the seconds since the clock was made."""
        return round(time.perf_counter() - self._began, 3)


def _describe(record: Record, domains: dict[str, Domain]) -> None:
    record.data = {
        role: {
            "name": domain.name,
            "fingerprint": domain.fingerprint,
            "classes": list(domain.classes),
            "sizes": {name: len(split.inputs) for name, split in domain.splits.items()},
        }
        for role, domain in domains.items()
    }
    record.fingerprint = fingerprint(record.config, {role: domain.fingerprint for role, domain in domains.items()})


def _earlier(folder: Path, record: Record) -> tuple[Record | None, Path | None]:
    """Return a finished record of the same run, or the checkpoint from which an interrupted one goes on."""
    if not (folder / RECORD).exists():
        return None, None
    previous = Record.read(folder)
    if previous.fingerprint is None:
        return None, None
    if previous.fingerprint != record.fingerprint:
        raise LandbridgeError(f"{folder} holds the record of another run; choose another hydra.run.dir")
    if previous.status == "done":
        log.info("this run is finished already: %s", folder)
        return previous, None
    checkpoint = folder / LAST
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None, None
    except Exception as error:
        log.warning("%s is damaged (%s): starting anew", checkpoint, type(error).__name__)
        return None, None
    log.info("going on from %s", checkpoint)
    return None, checkpoint


def _trainer(cfg: DictConfig, loggers: list[Logger], callbacks: list[Callback], folder: Path) -> Trainer:
    terminal = sys.stderr.isatty() and cfg.trainer.get("enable_progress_bar", True)
    return factory(cfg.trainer)(
        logger=loggers or False,
        callbacks=[*callbacks, RichProgressBar(leave=False)] if terminal else callbacks,
        enable_progress_bar=terminal,
        default_root_dir=str(folder),
        use_distributed_sampler=False,
    )


def _test_trainer(trainer: Trainer, strategy: Strategy) -> Trainer:
    # One device: a sampler for several would count some samples twice.
    return Trainer(
        accelerator="cpu" if strategy.device.type == "cpu" else "auto",
        devices=1,
        precision=trainer.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=not strategy.adapts_at_test,
    )


@rank_zero_only
def _write(record: Record, folder: Path) -> None:
    record.write(folder)


def _progress(record: Record, rows: list[dict[str, Any]], folder: Path) -> None:
    record.epochs = rows
    _write(record, folder)


def _flat(results: dict[str, dict[str, Any]], prefix: str) -> dict[str, float]:
    return {
        f"{prefix}{role}/{name}": value
        for role, result in results.items()
        for name, value in result.items()
        if isinstance(value, float)
    }


def _may_write_over(folder: Path, record: Record) -> bool:
    """Say whether a folder holds no record, or an earlier one of this very run: another run's is not ours to replace."""
    try:
        return not (folder / RECORD).exists() or Record.read(folder).fingerprint in (None, record.fingerprint)
    except LandbridgeError:
        return False


@contextmanager
def _failures_recorded(record: Record, folder: Path, loggers: list[Logger]) -> Iterator[None]:
    """Leave a record of a run that fails, and close its loggers with the right status."""
    failed = True
    try:
        yield
        failed = False
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
        record.status = "failed"
        record.reason = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
        if _may_write_over(folder, record):
            _write(record, folder)
        raise
    finally:
        for logger in loggers:
            logger.finalize("failed" if failed else "success")
            if isinstance(logger, WandbLogger):
                logger.experiment.finish(exit_code=int(failed))


@contextmanager
def _expected_warnings_silenced() -> Iterator[None]:
    """Silence what Lightning warns of and what is meant: data read in the main process, frozen stages in eval mode."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        yield
