"""One run, from its configuration to its record: prepare, train, test, write the record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from landbridge.data.domain import Domain
from landbridge.record import Record, environment, peak_memory_bytes
from landbridge.run.clock import Clock
from landbridge.run.company import ALONE, Company
from landbridge.run.dashboard import log_run
from landbridge.run.evaluate import choose_epoch, test_domains
from landbridge.run.fit import Fitted, fit
from landbridge.run.folder import RunFolder
from landbridge.run.initial_network import model_at_start
from landbridge.run.memory import enough_memory
from landbridge.run.prepare import Prepared, prepare
from landbridge.run.trainers import logging_to, quiet, test_trainer


def run(
    cfg: DictConfig,
    folder: Path,
    overrides: Sequence[str] = (),
    choices: Mapping[str, str] | None = None,
    company: Company = ALONE,
) -> Record:
    """Run one transfer, and return and write its record.

    If the folder holds a finished run with the same fingerprint, the record of that run is returned. If the folder
    holds an interrupted run with the same fingerprint, the run resumes from its last checkpoint.

    Args:
        cfg: the composed configuration.
        folder: folder of the record, checkpoints and logs.
        overrides: the overrides that the user typed, for the record.
        choices: the chosen option of each config group, for the record.
        company: the other runs of this process, if it trains together with them.

    Raises:
        LandbridgeError: the configuration, the data or the training has a fault. The message names it.
    """
    company.check(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    record = Record(name=cfg.name, overrides=list(overrides), choices=dict(choices or {}), config=config)
    place, clock = RunFolder(folder, record), Clock()
    with place.recording(), enough_memory(cfg), quiet():
        record.environment = environment()
        prepared = prepare(cfg, record, place, clock, train=run, company=company)
        if isinstance(prepared, Record):
            return prepared
        names = [domain.name for domain in prepared.domains.values()]
        tags = [record.choices.get("strategy", cfg.strategy._target_), *names]
        with logging_to(cfg.get("logger"), folder, config, tags, str(record.fingerprint)) as logger:
            fitted = fit(cfg, prepared, record, place, clock, logger, company)
            if not fitted.trainer.is_global_zero:
                return record
            with clock("test"):
                test(cfg, prepared, fitted, record, folder)
            stamp = "oracle" if fitted.epochs.rule.oracle else "test"
            log_run(logger, record, folder, stamp, step=fitted.trainer.global_step)
        record.epochs = fitted.epochs.rows
        record.seal = _openings(prepared.domains)
        record.cost |= clock.cost() | peak_memory_bytes() | fitted.cache.report() | company.report()
        record.status = "done"
        place.write()
    return record


def test(cfg: DictConfig, prepared: Prepared, fitted: Fitted, record: Record, folder: Path) -> None:
    """Load the epoch that the rule chose, and test it on every domain.

    Args:
        cfg: the checked configuration.
        prepared: the run before training.
        fitted: the run after training.
        record: record of the run; selection and results are added to it.
        folder: folder of the run.
    """
    strategy, epochs, target = fitted.strategy, fitted.epochs, prepared.domains["target"]
    chosen, path = choose_epoch(epochs, target) if strategy.requirements.trains else (None, None)
    if path:
        strategy.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    at_start, own_task = prepared.predicted_at_start, prepared.streams.source_task
    before = dict.fromkeys(at_start, model_at_start(cfg, prepared.start, target, own_task)) if at_start else {}
    tester = test_trainer(fitted.trainer, strategy)
    record.results = test_domains(strategy, fitted.data, prepared.domains, tester, fitted.samples, folder, before)
    fitted.cache.require_unchanged()
    record.selection = {
        "rule": epochs.rule.name,
        "epoch": chosen,
        "oracle": epochs.rule.oracle,
        "checkpoint": path.name if path else None,
    }
    if epochs.stopped_early:
        record.selection["stopped_early"] = len(epochs.rows)


def _openings(domains: Mapping[str, Domain]) -> dict[str, list[str]]:
    """Return the reasons for which hidden labels of each split were opened."""
    return {
        f"{role} {name}": split.labels.openings
        for role, domain in domains.items()
        for name, split in domain.splits.items()
    }
