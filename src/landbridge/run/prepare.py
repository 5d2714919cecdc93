"""Prepares a run before training: opens the domains, chooses the streams and builds the initial network."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything

from landbridge.config.build import build, factory
from landbridge.config.signatures import locate, read_signature
from landbridge.config.source_model import source_model
from landbridge.data.domain import Domain, require_same_kind
from landbridge.data.label_space import HIDDEN_CLASSES, in_label_space
from landbridge.data.streams import choose_streams
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.models.start import LoadReport, Start
from landbridge.record import Record, fingerprint
from landbridge.run.clock import Clock
from landbridge.run.folder import RunFolder
from landbridge.strategies.base import Strategy
from landbridge.strategies.supervised.as_is import AsIs
from landbridge.strategies.terms import join_terms
from landbridge.tasks import Task
from landbridge.training.freezing import Depth, Freezing
from landbridge.training.schedules import Constant

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A run before training.

    Attributes:
        start: the source of the initial weights.
        domains: the domains by role.
        network: the network with its initial weights.
        loaded: report of the loaded weights; None if none were loaded.
        streams: the streams that training may read.
        checkpoint: the checkpoint from which an interrupted run resumes.
    """

    start: Start
    domains: dict[str, Domain]
    network: Network
    loaded: LoadReport | None
    streams: TransferStreams
    checkpoint: Path | None

    @property
    def classifies_at_start(self) -> bool:
        """Whether the initial network has a trained head and the source is open. Then its retention is measured."""
        return bool("source" in self.domains and self.start.brings_head and self.loaded and not self.loaded.initialised)


def prepare(
    cfg: DictConfig, record: Record, place: RunFolder, clock: Clock, train: Callable[[DictConfig, Path], Record]
) -> Prepared | Record:
    """Open the domains, build the network and choose the streams.

    Args:
        cfg: the checked configuration.
        record: record of the run; data, fingerprint and start are added to it.
        place: the run's folder.
        clock: clock of the run.
        train: runs another configuration in a folder. It trains the source model if the start needs one.

    Returns:
        The prepared run; or the finished record, if the folder already holds it.
    """
    start: Start = build(cfg.start)
    names = streams_of(cfg, start, record.choices.get("strategy"))
    with clock("data"):
        domains = open_domains(cfg, "source" in names or start.needs_source, start)
    record.data = {role: domain.summary() for role, domain in domains.items()}
    require_task(cfg, domains["target"].task, record.choices.get("strategy"))
    strategy = strategy_class(cfg)
    contents = {role: domain.fingerprint for role, domain in domains.items()} | start.contents()
    contents |= strategy.contents(record.config["strategy"])
    record.fingerprint = fingerprint(record.config, contents, strategy.requirements.ignored_groups)
    if finished := place.finished():
        return finished
    if checkpoint := place.checkpoint():
        clock.go_on(Record.read(place.path).cost)
    with clock("start"):
        start.prepare(domains.get("source"), source_model(cfg) if start.needs_source else None, train)
        network, loaded = initial_network(cfg, start, domains["target"])
        record.start = loaded and loaded.to_json()
    streams = TransferStreams.of(
        source=domains["source"] if "source" in names else None,
        target=domains["target"],
        names=names,
        target_labels=cfg.target_labels,
        format=network.backbone.format,
        seed=cfg.seed,
    )
    return Prepared(start, domains, network, loaded, streams, checkpoint)


def strategy_class(cfg: DictConfig) -> type[Strategy]:
    """Return the class of the configured strategy."""
    return cast(type[Strategy], get_class(cfg.strategy._target_))


def streams_of(cfg: DictConfig, start: Start, choice: str | None = None) -> frozenset[str]:
    """Return the names of the training streams that the strategy and its auxiliary losses need.

    Args:
        cfg: the checked configuration.
        start: the source of the initial weights.
        choice: the name of the strategy in its config group, for messages.

    Raises:
        LandbridgeError: the setting lacks something that the strategy needs.
    """
    strategy = strategy_class(cfg)
    requirements, name = strategy.requirements, choice or strategy.__name__
    if requirements.source_model and not start.brings_head:
        raise LandbridgeError(f"strategy {name} needs a source model: set start=source or start=checkpoint")
    if requirements.adapts_at_test and not cfg.transductive:
        raise LandbridgeError(f"strategy {name} adapts to the test inputs themselves: set transductive=true")
    terms = join_terms(cfg.strategy.get("terms"), cfg.get("terms"))
    if terms and requirements.no_terms_because:
        raise LandbridgeError(
            f"terms: {', '.join(terms)} cannot act on strategy {name}: {requirements.no_terms_because}"
        )
    added = [*(cfg.get("terms") or ())]
    name += f" with terms {', '.join(added)}" if added else ""
    wanted = frozenset(requirements.streams).union(*(term.streams for term in terms.values()))
    optional = frozenset(requirements.optional_streams)
    return choose_streams(name, wanted, optional, cfg.target_labels, bool(cfg.get("source")))


def require_task(cfg: DictConfig, task: Task, choice: str | None = None) -> None:
    """Refuse a strategy or a term that cannot serve a task.

    Args:
        cfg: the checked configuration.
        task: of the target.
        choice: the name of the strategy in its config group, for messages.

    Raises:
        LandbridgeError: says which tasks it can serve.
    """
    strategy = strategy_class(cfg)
    terms = join_terms(cfg.strategy.get("terms"), cfg.get("terms"))
    serve = {f"strategy {choice or strategy.__name__}": strategy.requirements.tasks}
    serve |= {f"terms: {name}": term.tasks for name, term in terms.items()}
    for name, tasks in serve.items():
        if task.kind not in tasks:
            listed = ", ".join(sorted(tasks)).replace("_", " ")
            raise LandbridgeError(f"{name} serves {listed}, and the target's task is {task.kind.replace('_', ' ')}")


def open_domains(cfg: DictConfig, needs_source: bool, start: Start) -> dict[str, Domain]:
    """Open the target, and the source if the run needs it.

    If only the initial weights were trained on the source, the source is opened too. A test on it shows how much of
    the source's accuracy the model keeps. If this source cannot be opened, the run continues without it.

    Args:
        cfg: the checked configuration.
        needs_source: whether a stream or the start reads the source.
        start: the source of the initial weights.

    Returns:
        `target` and, if it was opened, `source`.

    Raises:
        LandbridgeError: a needed domain cannot be opened, or the domains differ in classes or in the kind of inputs.
    """
    if needs_source and not cfg.get("source"):
        raise LandbridgeError("start=source needs a source domain: set source=...")
    if cfg.label_sets in HIDDEN_CLASSES and not cfg.get("source"):
        raise LandbridgeError(f"label_sets={cfg.label_sets} needs a source domain, whose classes it predicts")
    needs_source = needs_source or cfg.label_sets in HIDDEN_CLASSES
    target: Domain = build(cfg.target)
    node: Any = OmegaConf.to_container(cfg.source, resolve=True) if cfg.get("source") else None
    if not (needs_source or (node and start.knows(node, target.classes))):
        return {"target": target}
    try:
        source: Domain = build(cfg.source)
    except Exception as error:
        if needs_source:
            raise
        log.info("the source cannot be opened, so retention is not measured: %s", error)
        return {"target": target}
    require_same_kind(source, target)
    return {"source": source, "target": in_label_space(source, target, cfg.label_sets)}


def build_network(cfg: DictConfig, target: Domain) -> Network:
    """Build backbone and head. The `shape` of a raw sample is passed to backbones that take it."""
    takes_shape = "shape" in read_signature(locate(cfg.backbone._target_)).hints
    backbone = build(cfg.backbone, **({"shape": target.shape} if takes_shape else {}))
    head = factory(cfg.head)
    return Network(backbone, target.task.outputs, head, target.task.has_units)


def initial_network(cfg: DictConfig, start: Start, target: Domain) -> tuple[Network, LoadReport | None]:
    """Build the network with its initial weights and its tuning, and return what was loaded."""
    seed_everything(cfg.seed, workers=True, verbose=False)
    network = build_network(cfg, target)
    if loaded := start.apply(network):
        partly = any(name.startswith("backbone.") for name in loaded.initialised)
        log.log(logging.WARNING if partly else logging.INFO, loaded.summary())
    if cfg.get("tuning"):
        freeze: Freezing = build(cfg.freeze, epochs=cfg.trainer.max_epochs)
        build(cfg.tuning).apply(network.backbone, freeze.ever(network.backbone.stages))
    return network, loaded


def model_at_start(cfg: DictConfig, start: Start, target: Domain) -> Strategy:
    """Build the initial network again, as a strategy that only predicts."""
    network = build_network(cfg, target)
    start.apply(network)
    return AsIs(
        network=network,
        task=target.task,
        freeze=Depth(),
        optimizer=factory(cfg.optimizer),
        schedule=Constant(),
        steps=1,
    )
