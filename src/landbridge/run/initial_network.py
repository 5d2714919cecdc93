"""The network with its initial weights."""

import logging
from collections.abc import Sequence

from omegaconf import DictConfig
from pytorch_lightning import seed_everything

from landbridge.config.build import build, factory
from landbridge.config.signatures import locate, read_signature
from landbridge.data.domain import Domain
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network, SourceHead
from landbridge.models.start import LoadReport, Start
from landbridge.strategies.base import Strategy
from landbridge.strategies.supervised.as_is import AsIs
from landbridge.tasks import Task
from landbridge.training.freezing import Depth, Freezing
from landbridge.training.schedules import Constant

log = logging.getLogger(__name__)


def build_network(cfg: DictConfig, task: Task, shape: Sequence[int] | None, source_task: Task | None) -> Network:
    """Build backbone and head.

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
    network = Network(backbone, task.outputs, head, task.has_units)
    if source_task is not None:
        network.add_source_head(source_task.outputs, head, source_task.has_units)
    return network


def initial_network(
    cfg: DictConfig, start: Start, target: Domain, source_task: Task | None
) -> tuple[Network, LoadReport | None]:
    """Build the network with its initial weights and its tuning, and return what was loaded."""
    seed_everything(cfg.seed, workers=True, verbose=False)
    network = build_network(cfg, target.task, target.shape, source_task)
    if loaded := start.apply(network):
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
        build(cfg.tuning).apply(network.backbone, freeze.ever(network.backbone.stages))
    return network


def model_at_start(cfg: DictConfig, start: Start, target: Domain, source_task: Task | None) -> Strategy:
    """Build the initial network again, as a strategy that only predicts."""
    network = build_network(cfg, target.task, target.shape, source_task)
    start.apply(network)
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
