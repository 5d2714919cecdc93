"""Prepares a run before training: opens the domains, chooses the streams and builds the initial network."""

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from landbridge.config.build import build
from landbridge.config.defaults import with_defaults
from landbridge.config.source_model import source_model
from landbridge.data.domain import Domain, require_same_kind
from landbridge.data.label_space import HIDDEN_CLASSES, in_label_space
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import backbone_contents
from landbridge.models.network import Network
from landbridge.models.start import LoadReport, Start
from landbridge.record import Record, fingerprint
from landbridge.run.assemble import assemble
from landbridge.run.balance import require_balance
from landbridge.run.clock import Clock
from landbridge.run.company import Company
from landbridge.run.folder import RunFolder
from landbridge.run.initial_network import (
    build_network,
    initial_network,
    keep_source_head,
    strategy_class,
    tuned,
)
from landbridge.run.needs import require_task, streams_of
from landbridge.run.overlaps import require_same_splits, require_unseen, warn_of_visible_clashes
from landbridge.run.parent import Parent
from landbridge.run.scales import warn_of_scales
from landbridge.run.source_run import Train, after_rehearsal

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
    def predicted_at_start(self) -> frozenset[str]:
        """The roles for which the initial network has a trained head. There, retention or gain is measured."""
        if "source" not in self.domains or not self.start.brings_head or not self.loaded:
            return frozenset()
        new = self.loaded.initialised
        if self.network.source is None:
            return frozenset() if new else frozenset(self.domains)
        return frozenset({"source"} if all(name.startswith(("head.", "units.")) for name in new) else ())


def prepare(
    cfg: DictConfig, record: Record, place: RunFolder, clock: Clock, train: Train, company: Company
) -> Prepared | Record:
    """Open the domains, build the network and choose the streams.

    Args:
        cfg: the checked configuration.
        record: record of the run; data, fingerprint and start are added to it.
        place: the run's folder.
        clock: clock of the run.
        train: runs another configuration in a folder. It trains the source model if the start needs one.
        company: the other runs of this process.

    Returns:
        The prepared run; or the finished record, if the folder already holds it.
    """
    start: Start = build(cfg.start)
    names = streams_of(cfg, start, record.choices.get("strategy"))
    with clock("data"):
        needs_source = "source" in names or start.needs_source
        domains = company.domains(cfg, partial(open_domains, cfg, needs_source, start))
    record.data = {role: domain.summary() for role, domain in domains.items()}
    own_task = domains["source"].task if cfg.label_sets == "different" and "source" in domains else None
    tasks = {"target": domains["target"].task, **({"source": own_task} if own_task and "source" in names else {})}
    for role, task in tasks.items():
        require_task(cfg, task, record.choices.get("strategy"), role)
    strategy = strategy_class(cfg)
    choice = record.choices.get("strategy") or strategy.__name__
    require_balance(cfg, strategy.requirements, names, tasks, start.needs_source, choice)
    contents = {role: domain.fingerprint for role, domain in domains.items()} | start.contents()
    contents |= strategy.contents(record.config["strategy"]) | backbone_contents(record.config["backbone"])
    parent = Parent(cfg.continues) if cfg.get("continues") else None
    if parent:
        parent.require_same(record.config, contents, strategy.requirements.ignored_groups)
        contents["continues"] = str(parent.record.fingerprint)
        record.parent = parent.note()
    record.fingerprint = fingerprint(with_defaults(record.config), contents, strategy.requirements.ignored_groups)
    if finished := place.finished():
        return finished
    require_unseen(domains, _learned(cfg, names, start, domains))
    if "target" in names:  # a class with too few samples is named before the backbone is loaded
        domains["target"].splits["train"].labels.visible(cfg.target_labels, cfg.seed)
    require_same_splits(start.earlier_runs() | strategy.earlier_runs(record.config["strategy"]), domains["target"])
    if checkpoint := place.checkpoint():
        clock.go_on(Record.read(place.path).cost)
    elif parent:
        clock.go_on(parent.record.cost)

    def streams_for(network: Network) -> TransferStreams:
        return TransferStreams.of(
            source=domains["source"] if "source" in names else None,
            target=domains["target"],
            names=names,
            target_labels=cfg.target_labels,
            format=network.backbone.format,
            seed=cfg.seed,
            source_task=own_task,
            settings=build(cfg.task),
            augment=build(cfg.augment) if cfg.get("augment") else None,
        )

    def rehearse() -> None:
        network = tuned(cfg, build_network(cfg, domains["target"].task, domains["target"].shape, own_task))
        if network.source is not None and "source" not in names:
            network.source.requires_grad_(False)
        assemble(cfg, network, streams_for(network), place.path)

    source = source_model(cfg, parent.epochs_at_source if parent else None) if start.needs_source else None
    with clock("start"):
        start.prepare(domains.get("source"), source, after_rehearsal(train, rehearse))
        built = partial(initial_network, cfg, start, domains["target"], own_task)
        network, loaded = company.initial(cfg, start, built)
        if network.source is not None and "source" not in names:
            keep_source_head(network.source, loaded)
        record.start = loaded and loaded.to_json()
    if parent:
        parent.require_same_stages(cfg.freeze, cfg.trainer.max_epochs, network.backbone.stages)
        checkpoint = checkpoint or parent.adopt(place.path)
    streams = streams_for(network)
    warn_of_visible_clashes(streams)
    for role, domain in domains.items():
        warn_of_scales(role, domain)
    return Prepared(start, domains, network, loaded, streams, checkpoint)


def _learned(cfg: DictConfig, names: Set[str], start: Start, domains: Mapping[str, Domain]) -> set[str]:
    """Return the roles of the domains that training reads, or that the initial weights were trained on."""
    roles = {name.removesuffix("_unlabelled") for name in names}
    if "source" in domains:
        node: Any = OmegaConf.to_container(cfg.source, resolve=True)
        roles |= {"source"} if start.knows(node, domains["target"].classes) else set()
    return roles


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
    if cfg.label_sets != "same" and not cfg.get("source"):
        raise LandbridgeError(f"label_sets={cfg.label_sets} needs a source domain: set source=...")
    needs_source = needs_source or cfg.label_sets in HIDDEN_CLASSES
    target: Domain = build(cfg.target)
    node: Any = OmegaConf.to_container(cfg.source, resolve=True) if cfg.get("source") else None
    classes = None if cfg.label_sets == "different" else target.classes
    if not (needs_source or (node and start.knows(node, classes))):
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
