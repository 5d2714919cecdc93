"""What a run is made of: domains, streams, the network and the strategy, each built from the configuration."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import seed_everything

from landbridge.build import build, factory
from landbridge.data.domain import Domain, require_same_classes, require_same_kind
from landbridge.data.streams import choose_streams
from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.freezing import Depth, Freezing
from landbridge.network import Network
from landbridge.schedules import Constant
from landbridge.signatures import locate, read_signature
from landbridge.start import LoadReport, Start
from landbridge.strategies.as_is import AsIs
from landbridge.strategies.base import Strategy
from landbridge.strategies.terms import needs, weights

log = logging.getLogger(__name__)


def begin_network(cfg: DictConfig, start: Start, target: Domain) -> tuple[Network, LoadReport | None]:
    """Build the network with the weights that it begins with, and return what was loaded."""
    seed_everything(cfg.seed, workers=True, verbose=False)
    network = build_network(cfg, target)
    if loaded := start.apply(network):
        partly = any(name.startswith("backbone.") for name in loaded.initialised)
        log.log(logging.WARNING if partly else logging.INFO, loaded.summary())
    if cfg.get("tuning"):
        freeze: Freezing = build(cfg.freeze, epochs=cfg.trainer.max_epochs)
        build(cfg.tuning).apply(network.backbone, freeze.ever(network.backbone.stages))
    return network, loaded


def transfer_data(
    cfg: DictConfig, domains: Mapping[str, Domain], streams: frozenset[str], network: Network
) -> TransferData:
    """Build the streams, and nothing that the setting hides."""
    return build(
        cfg.data,
        source=domains.get("source") if "source" in streams else None,
        target=domains["target"],
        streams=streams,
        target_labels=cfg.target_labels,
        input=network.backbone.spec,
        seed=cfg.seed,
    )


def strategy_class(cfg: DictConfig) -> type[Strategy]:
    """Return the class that the configured strategy names."""
    return cast(type[Strategy], get_class(cfg.strategy._target_))


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


def open_domains(cfg: DictConfig, needs_source: bool, start: Start) -> dict[str, Domain]:
    """Open the domains that the run uses, and the source that its start has learned, to see how much of it is kept."""
    if needs_source and not cfg.get("source"):
        raise LandbridgeError("start=source needs a source domain: set source=...")
    target: Domain = build(cfg.target)
    node: Any = OmegaConf.to_container(cfg.source, resolve=True) if cfg.get("source") else None
    if not (needs_source or (node and start.knows(node, target.classes))):
        return {"target": target}
    try:
        source: Domain = build(cfg.source)
    except Exception as error:
        if needs_source:
            raise
        log.info("how much of the source is kept remains unknown: %s", error)
        return {"target": target}
    require_same_classes(source, target)
    require_same_kind(source, target)
    return {"source": source, "target": target}


def build_network(cfg: DictConfig, target: Domain) -> Network:
    """Build the backbone, which is told the shape of a raw sample if it asks for it, and the head."""
    asks = "shape" in read_signature(locate(cfg.backbone._target_)).hints
    backbone = build(cfg.backbone, **({"shape": target.shape} if asks else {}))
    return Network(backbone, len(target.classes))


def model_at_start(cfg: DictConfig, start: Start, target: Domain) -> Strategy:
    """Build once more what the start has brought."""
    network = build_network(cfg, target)
    start.apply(network)
    idle = {"freeze": Depth(), "optimizer": factory(cfg.optimizer), "schedule": Constant(), "steps": 1, "terms": {}}
    return AsIs(network=network, **idle)


def build_strategy(cfg: DictConfig, network: Network, steps: int) -> Strategy:
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
