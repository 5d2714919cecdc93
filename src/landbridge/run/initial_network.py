"""The network with its initial weights."""

import logging
from collections.abc import Callable, Sequence
from typing import cast

import torch
from hydra.utils import get_class
from omegaconf import DictConfig
from pytorch_lightning import seed_everything

from landbridge.config.allocations import Allocations
from landbridge.config.build import build, factory
from landbridge.config.reasons import explained
from landbridge.config.signatures import locate, read_signature
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.models.bottleneck import Bottleneck
from landbridge.models.network import Network, SourceHead
from landbridge.models.start import LoadReport, Start
from landbridge.strategies.base import Strategy
from landbridge.strategies.supervised.as_is import AsIs
from landbridge.tasks import Task
from landbridge.training.freezing import Depth, Freezing
from landbridge.training.schedules import Constant

log = logging.getLogger(__name__)


def strategy_class(cfg: DictConfig) -> type[Strategy]:
    """Return the class of the configured strategy."""
    return cast(type[Strategy], get_class(cfg.strategy._target_))


def build_network(cfg: DictConfig, task: Task, shape: Sequence[int] | None, source_task: Task | None) -> Network:
    """Build backbone, bottleneck and head.

    Args:
        cfg: the checked configuration.
        task: of the target.
        shape: of a raw sample, for backbones that take it; None if it is not known.
        source_task: task of the source, if the source has a head of its own.

    Raises:
        LandbridgeError: the backbone needs a shape that is not known.
    """
    takes_shape = "shape" in read_signature(locate(cfg.backbone._target_)).hints
    if takes_shape and shape is None:
        raise LandbridgeError("the record of this run does not state the shape of its samples: run it again")
    backbone = build(cfg.backbone, **({"shape": tuple(shape or ())} if takes_shape else {}))
    head = factory(cfg.head)
    network = Network(backbone, task.outputs, head, task.has_units, bottleneck_of(cfg))
    if source_task is not None:
        network.add_source_head(source_task.outputs, head, source_task.has_units)
    return network


def bottleneck_of(cfg: DictConfig) -> Callable[[int], Bottleneck] | None:
    """Return what makes the configured bottleneck; records of earlier versions have none."""
    return factory(cfg.bottleneck) if cfg.get("bottleneck") else None


def initial_network(
    cfg: DictConfig, start: Start, target: Domain, source_task: Task | None
) -> tuple[Network, LoadReport | None]:
    """Build the network with its initial weights and its tuning, and return what was loaded."""
    seed_everything(cfg.seed, workers=True, verbose=False)
    network = build_network(cfg, target.task, target.shape, source_task)
    require_encoding(cfg, network)
    loaded = start.apply(network, (source_task or target.task).names)
    _require_head(cfg, start, loaded)
    _require_bottleneck(cfg, start, loaded)
    if loaded:
        partly = any(name.startswith("backbone.") for name in loaded.initialised)
        log.log(logging.WARNING if partly else logging.INFO, loaded.summary())
    elif network.backbone.weights:
        log.warning(
            "start: the weights of the backbone are random, and those of %s are not used; to start from them, set "
            "start=pretrained, or start.before=pretrained with start=source",
            network.backbone.weights,
        )
    return tuned(cfg, network), loaded


def tuned(cfg: DictConfig, network: Network) -> Network:
    """Apply the tuning to the backbone of a network, and return the network."""
    if cfg.get("tuning"):
        freeze: Freezing = build(cfg.freeze, epochs=cfg.trainer.max_epochs)
        tuning, stages, backbone = build(cfg.tuning), freeze.ever(network.backbone.stages), network.backbone
        with explained(cfg.tuning), Allocations():
            tuning.apply(backbone, stages)
        frozen = strategy_class(cfg).requirements.frozen_backbone
        if frozen or not any(
            stage in stages and name not in backbone.held for name, stage in backbone.stage_of.items()
        ):
            raise LandbridgeError("tuning: has no effect, because it changes only stages that are frozen in all epochs")
    return network


def require_encoding(cfg: DictConfig, network: Network) -> None:
    """Encode two random samples, since libraries find some wrong settings of a backbone only then.

    Raises:
        LandbridgeError: the backbone cannot encode, or its features, or those of the bottleneck, are no vectors of the
            announced width.
    """
    backbone = network.backbone
    inputs = backbone.format.example(2, torch.Generator().manual_seed(0))
    network.eval()
    with explained(cfg.backbone), torch.no_grad(), torch.random.fork_rng(devices=[]):
        features = backbone(*inputs)
    if tuple(features.shape) != (2, backbone.features):
        raise LandbridgeError(
            f"backbone: the features of two samples have the shape {tuple(features.shape)}, and a head needs "
            f"{(2, backbone.features)}"
        )
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        narrow = network.narrowed(features)
    network.train()
    if tuple(narrow.shape) != (2, network.features):
        raise LandbridgeError(
            f"bottleneck: the features of two samples have the shape {tuple(narrow.shape)}, and its `width` announces "
            f"{(2, network.features)}"
        )


def _require_head(cfg: DictConfig, start: Start, loaded: LoadReport | None) -> None:
    """Refuse a run whose head would stay random, or that continues a source model and would get a new head.

    Raises:
        LandbridgeError: says why the head is new.
    """
    requirements, name = strategy_class(cfg).requirements, strategy_class(cfg).__name__
    if loaded and not any(entry.startswith("head.") for entry in loaded.initialised):
        return
    if requirements.source_model:
        raise LandbridgeError(
            f"strategy {name} continues a source model with its head, but {start.why_new_head}: start from a model of "
            "the same classes, or choose a strategy that trains a new head, such as fine_tune"
        )
    freeze: Freezing = build(cfg.freeze, epochs=cfg.trainer.max_epochs)
    if not freeze.head or not requirements.trains_head:
        frozen = f"strategy {name} freezes the head" if freeze.head else "freeze.head=false"
        raise LandbridgeError(f"{frozen}, but the head is random, because {start.why_new_head}: set freeze.head=true")


def _require_bottleneck(cfg: DictConfig, start: Start, loaded: LoadReport | None) -> None:
    """Refuse a run whose bottleneck would stay random between loaded weights and the head.

    Raises:
        LandbridgeError: says what freezes the bottleneck.
    """
    new = loaded is not None and any(entry.startswith("bottleneck.") for entry in loaded.initialised)
    frozen, name = strategy_class(cfg).requirements.frozen_backbone, strategy_class(cfg).__name__
    freeze: Freezing = build(cfg.freeze, epochs=cfg.trainer.max_epochs)
    if new and (frozen or not freeze.head):
        cause = f"strategy {name} freezes the bottleneck" if frozen else "freeze.head=false freezes the bottleneck too"
        raise LandbridgeError(
            f"{cause}, but it is random, because {start.why_new_bottleneck}: set bottleneck=none, or start from a "
            "model with the same bottleneck"
        )


def model_at_start(cfg: DictConfig, start: Start, target: Domain, source_task: Task | None) -> Strategy:
    """Build the initial network again, as a strategy that only predicts."""
    network = build_network(cfg, target.task, target.shape, source_task)
    start.apply(network, (source_task or target.task).names)
    return AsIs(
        network=network,
        task=target.task,
        freeze=Depth(),
        optimizer=factory(cfg.optimizer),
        schedule=Constant(),
        steps=1,
    )


def keep_source_head(head: SourceHead, loaded: LoadReport | None) -> None:
    """Hold the source's head fixed, because no stream trains it. It shows what the source loses."""
    head.requires_grad_(False)
    if loaded and any(name.startswith("source.") for name in loaded.initialised):
        raise LandbridgeError(
            f"label_sets=different: the head in {loaded.origin} does not fit the head of the source; choose the "
            "`head` that it was trained with"
        )
