"""One run, told from top to bottom."""

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything

from landbridge.build import build, factory
from landbridge.cache import Cache, Off
from landbridge.check import check
from landbridge.clock import Clock
from landbridge.dashboard import log_run
from landbridge.data.domain import Domain, require_same_classes, require_same_kind
from landbridge.data.streams import choose_streams
from landbridge.data.transfer import TransferData
from landbridge.epochs import Epochs
from landbridge.errors import LandbridgeError
from landbridge.evaluate import choose_epoch, test_domains
from landbridge.folder import RunFolder
from landbridge.freezing import Depth
from landbridge.lightning import fit_trainer, logging_to, quiet, rebuilds, test_trainer
from landbridge.network import Network
from landbridge.record import Record, environment, fingerprint, peak_memory_bytes
from landbridge.samples import Samples
from landbridge.schedules import Constant
from landbridge.selection import Rule
from landbridge.signatures import locate, read_signature
from landbridge.start import Start
from landbridge.strategies.as_is import AsIs
from landbridge.strategies.base import Strategy
from landbridge.strategies.terms import needs, optimises, weights

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
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    record = Record(name=cfg.name, overrides=list(overrides), choices=dict(choices or {}), config=config)
    place = RunFolder(folder, record)
    clock = Clock()
    with place.recording(), quiet():
        record.environment = environment()
        start: Start = build(cfg.start)
        streams = streams_of(cfg, start, record.choices.get("strategy"))
        with clock("data"):
            domains = _domains(cfg, "source" in streams or start.needs_source, start)
        record.data = {role: domain.summary() for role, domain in domains.items()}
        contents = {role: domain.fingerprint for role, domain in domains.items()} | start.contents()
        record.fingerprint = fingerprint(config, contents, strategy_class(cfg).ignores)
        if finished := place.finished():
            return finished
        if checkpoint := place.checkpoint():
            clock.go_on(Record.read(folder).cost)

        with clock("start"):
            start.prepare(cfg, domains.get("source"), run)
            seed_everything(cfg.seed, workers=True, verbose=False)
            network = _network(cfg, domains["target"])
            if loaded := start.apply(network):
                record.start = loaded.to_json()
                partly = any(name.startswith("backbone.") for name in loaded.initialised)
                log.log(logging.WARNING if partly else logging.INFO, loaded.summary())
            if cfg.get("tuning"):
                build(cfg.tuning).apply(network.backbone)
        data: TransferData = build(
            cfg.data,
            source=domains.get("source") if "source" in streams else None,
            target=domains["target"],
            streams=streams,
            target_labels=cfg.target_labels,
            input=network.backbone.spec,
            seed=cfg.seed,
        )

        def keep(rows: list[dict[str, Any]]) -> None:
            record.epochs = rows
            record.cost |= clock.cost()
            place.write()

        epochs = Epochs(build(cfg.selection), data, folder, keep)
        tags = [record.choices.get("strategy", cfg.strategy._target_), *(domain.name for domain in domains.values())]
        with logging_to(cfg.get("logger"), folder, config, tags) as logger:
            averaging = [build(cfg.averaging)] if cfg.get("averaging") else []
            trainer = fit_trainer(cfg, logger, [epochs, *averaging], folder)
            data.processes = trainer.num_devices * trainer.num_nodes
            strategy = _strategy(cfg, network, data.steps_per_epoch * cfg.trainer.max_epochs)
            strategy.inherit(start.beside)
            if strategy.trains:
                _caution(epochs.rule, strategy)
            with clock("test"):
                samples = Samples(strategy.network, domains, data.spec, trainer.strategy.root_device)
            parameters, trainable = strategy.parameter_counts()
            record.cost = clock.cost() | {"parameters": parameters, "trainable_parameters": trainable}
            place.write()

            rebuilt = rebuilds(cfg, trainer, strategy, epochs.rule)
            cache: Cache = Off() if rebuilt else build(cfg.cache)
            with clock("cache"):
                splits = [split.inputs for domain in domains.values() for split in domain.splits.values()]
                cache.serve(strategy, data, splits, trainer, config["backbone"])
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
                before = _before(cfg, start, domains["target"]) if knows else None
                tester = test_trainer(trainer, tested)
                record.results = test_domains(tested, data, domains, tester, samples, folder, before)
            stamp = "oracle" if epochs.rule.oracle else "test"
            log_run(logger, record, folder, stamp, step=trainer.global_step)
        record.epochs = epochs.rows
        record.selection = {
            "rule": epochs.rule.name,
            "epoch": chosen,
            "oracle": epochs.rule.oracle,
            "checkpoint": path.name if path else None,
        }
        record.seal = {
            f"{role} {name}": split.labels.openings
            for role, domain in domains.items()
            for name, split in domain.splits.items()
        }
        record.cost |= clock.cost() | {"peak_memory_bytes": peak_memory_bytes()}
        if report := cache.report():
            record.cost["cache"] = report
        if torch.cuda.is_available():
            record.cost["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
        record.status = "done"
        place.write()
    return record


def strategy_class(cfg: DictConfig) -> type[Strategy]:
    """Return the class that the configured strategy names."""
    return get_class(cfg.strategy._target_)  # type: ignore[return-value]


def streams_of(cfg: DictConfig, start: Start, choice: str | None = None) -> frozenset[str]:
    """Choose the streams that the strategy and the terms need, or refuse a setting that does not provide them.

    Args:
        cfg: the composed configuration.
        start: where the weights come from.
        choice: what the strategy was called in its config group, for messages.
    """
    strategy = strategy_class(cfg)
    name = choice or strategy.__name__
    if strategy.continues_source and not start.brings_head:
        raise LandbridgeError(f"strategy {name} continues a source model: set start=source or start=checkpoint")
    if strategy.adapts_at_test and not cfg.transductive:
        raise LandbridgeError(f"strategy {name} adapts to the very inputs that it is tested on: set transductive=true")
    terms = weights(cfg.get("terms"))
    name += f" with terms {', '.join(terms)}" if terms else ""
    wanted = strategy.needs | needs(terms)
    return choose_streams(name, wanted, strategy.optional, cfg.target_labels, bool(cfg.get("source")))


def _domains(cfg: DictConfig, needs_source: bool, start: Start) -> dict[str, Domain]:
    """Open the domains that the run uses, and the source that its start has learned, to see how much of it is kept."""
    if needs_source and not cfg.get("source"):
        raise LandbridgeError("start=source needs a source domain: set source=...")
    target: Domain = build(cfg.target)
    node: Any = OmegaConf.to_container(cfg.source, resolve=True) if cfg.get("source") else None
    if not (needs_source or (node and start.knows(node, target.classes))):
        return {"target": target}
    source: Domain = build(cfg.source)
    require_same_classes(source, target)
    require_same_kind(source, target)
    return {"source": source, "target": target}


def _network(cfg: DictConfig, target: Domain) -> Network:
    """Build the backbone, which is told the shape of a raw sample if it asks for it, and the head."""
    asks = "shape" in read_signature(locate(cfg.backbone._target_)).hints
    backbone = build(cfg.backbone, **({"shape": target.shape} if asks else {}))
    return Network(backbone, len(target.classes))


def _before(cfg: DictConfig, start: Start, target: Domain) -> Strategy:
    """Build once more what the start has brought."""
    network = _network(cfg, target)
    start.apply(network)
    idle = {"freeze": Depth(), "optimizer": factory(cfg.optimizer), "schedule": Constant(), "steps": 1, "terms": {}}
    return AsIs(network=network, **idle)


def _caution(rule: Rule, strategy: Strategy) -> None:
    """Say how the configured rule is known to fail, and whether training optimises the very quantity that it scores."""
    if rule.caution:
        log.warning("selection=%s: %s", rule.name, rule.caution)
    if rule.name in strategy.optimises | optimises(strategy.terms):
        log.warning("selection=%s scores what training optimises, and says little about how right it is", rule.name)


def _strategy(cfg: DictConfig, network: Network, steps: int) -> Strategy:
    """Build the strategy around its network."""
    strategy: Strategy = build(
        cfg.strategy,
        network=network,
        freeze=build(cfg.freeze, epochs=cfg.trainer.max_epochs),
        optimizer=factory(cfg.optimizer),
        schedule=build(cfg.scheduler),
        steps=steps,
        terms=weights(cfg.get("terms")),
    )
    if cfg.get("averaging") and not (strategy.trains and strategy.averages):
        raise LandbridgeError(f"averaging: {type(strategy).__name__} sets its weights itself; use averaging=none")
    for setting, default in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
        if not strategy.automatic_optimization and cfg.trainer.get(setting, default) != default:
            raise LandbridgeError(
                f"trainer.{setting}: {type(strategy).__name__} alternates optimizer steps itself, and cannot use it"
            )
    return strategy
