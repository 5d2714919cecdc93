"""One run, told from top to bottom."""

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from landbridge.assemble import (
    begin_network,
    build_strategy,
    model_at_start,
    open_domains,
    strategy_class,
    streams_of,
    transfer_data,
)
from landbridge.build import build
from landbridge.cache import Cache, Off
from landbridge.check import check
from landbridge.clock import Clock
from landbridge.dashboard import log_run
from landbridge.data.domain import Domain
from landbridge.epochs import Epochs
from landbridge.evaluate import choose_epoch, test_domains
from landbridge.folder import RunFolder
from landbridge.lightning import fit_trainer, logging_to, quiet, rebuilds, test_trainer
from landbridge.record import Record, environment, fingerprint, peak_memory_bytes
from landbridge.samples import Samples
from landbridge.selection import Rule
from landbridge.start import Start
from landbridge.strategies.base import Strategy
from landbridge.strategies.terms import optimises

log = logging.getLogger(__name__)


def run(
    cfg: DictConfig, folder: Path, overrides: Sequence[str] = (), choices: Mapping[str, str] | None = None
) -> Record:
    """Run one transfer and leave its record.

    A folder that holds a finished run of the same fingerprint is returned as it is; a run that was interrupted there
    goes on from its last checkpoint.

    Args:
        cfg: the composed configuration.
        folder: where the record, checkpoints and logs go.
        overrides: what the user typed, for the record.
        choices: the option chosen in each config group, for the record.

    Raises:
        LandbridgeError: the configuration, the data or the training has a fault that the message names.
    """
    check(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    record = Record(name=cfg.name, overrides=list(overrides), choices=dict(choices or {}), config=config)
    place = RunFolder(folder, record)
    clock = Clock()
    with place.recording(), quiet():
        record.environment = environment()
        start: Start = build(cfg.start)
        streams = streams_of(cfg, start, record.choices.get("strategy"))
        with clock("data"):
            domains = open_domains(cfg, "source" in streams or start.needs_source, start)
        record.data = {role: domain.summary() for role, domain in domains.items()}
        strategy_type = strategy_class(cfg)
        contents = {role: domain.fingerprint for role, domain in domains.items()} | start.contents()
        contents |= strategy_type.contents(config["strategy"])
        record.fingerprint = fingerprint(config, contents, strategy_type.ignores)
        if finished := place.finished():
            return finished
        if checkpoint := place.checkpoint():
            clock.go_on(Record.read(folder).cost)

        with clock("start"):
            start.prepare(cfg, domains.get("source"), run)
            network, loaded = begin_network(cfg, start, domains["target"])
            record.start = loaded and loaded.to_json()
        data = transfer_data(cfg, domains, streams, network)

        def keep(rows: list[dict[str, Any]]) -> None:
            record.epochs = rows
            record.cost |= clock.cost()
            place.write()

        epochs = Epochs(build(cfg.selection), data, folder, cfg.checkpoint_every, keep)
        tags = [record.choices.get("strategy", cfg.strategy._target_), *(domain.name for domain in domains.values())]
        with logging_to(cfg.get("logger"), folder, config, tags) as logger:
            averaging = [build(cfg.averaging)] if cfg.get("averaging") else []
            trainer = fit_trainer(cfg, logger, [epochs, *averaging], folder)
            data.processes = trainer.num_devices * trainer.num_nodes
            strategy = build_strategy(cfg, network, data.steps_per_epoch * cfg.trainer.max_epochs)
            strategy.inherit(start.beside)
            if strategy.trains:
                _caution(epochs.rule, strategy)
            parameters, trainable = strategy.parameter_counts()
            record.cost = clock.cost() | {"parameters": parameters, "trainable_parameters": trainable}
            place.write()

            rebuilt = rebuilds(cfg, trainer, strategy, epochs.rule)
            cache: Cache = Off() if rebuilt else build(cfg.cache)
            with clock("cache"):
                splits = [split.inputs for domain in domains.values() for split in domain.splits.values()]
                cache.serve(strategy, data, splits, trainer, config["backbone"])
            with clock("test"):
                samples = Samples(network, domains, data.spec, trainer.strategy.root_device, data.known)
            # What training takes apart is tested on a copy, which the chosen checkpoint fills.
            tested = deepcopy(strategy) if rebuilt and strategy.trains else strategy
            with clock("train"):
                if strategy.trains:
                    trainer.fit(strategy, data, ckpt_path=checkpoint, weights_only=True)
            if not trainer.is_global_zero:
                return record

            with clock("test"):
                chosen, path = choose_epoch(epochs, domains["target"]) if strategy.trains else (None, None)
                if path:
                    tested.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
                knows = "source" in domains and start.brings_head and loaded and not loaded.initialised
                before = model_at_start(cfg, start, domains["target"]) if knows else None
                tester = test_trainer(trainer, tested)
                record.results = test_domains(tested, data, domains, tester, samples, folder, before)
                cache.require_unchanged()
            stamp = "oracle" if epochs.rule.oracle else "test"
            log_run(logger, record, folder, stamp, step=trainer.global_step)
        record.epochs = epochs.rows
        record.selection = {
            "rule": epochs.rule.name,
            "epoch": chosen,
            "oracle": epochs.rule.oracle,
            "checkpoint": path.name if path else None,
        }
        record.seal = _openings(domains)
        record.cost |= clock.cost() | peak_memory_bytes() | cache.report()
        record.status = "done"
        place.write()
    return record


def _openings(domains: Mapping[str, Domain]) -> dict[str, list[str]]:
    """Return who opened hidden labels of each split, and why."""
    return {
        f"{role} {name}": split.labels.openings
        for role, domain in domains.items()
        for name, split in domain.splits.items()
    }


def _caution(rule: Rule, strategy: Strategy) -> None:
    """Say how the configured rule is known to fail, and whether training optimises the very quantity that it scores."""
    if rule.caution:
        log.warning("selection=%s: %s", rule.name, rule.caution)
    if rule.name in strategy.optimises | optimises(strategy.terms):
        log.warning("selection=%s scores what training optimises, and says little about how right it is", rule.name)
