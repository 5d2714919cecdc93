"""Checks that backbone, freezing, tuning, head and strategy fit together, without data and without real weights."""

import json
import logging
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from landbridge.config.build import build, factory
from landbridge.config.signatures import locate, read_signature
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.run.assemble import build_strategy, require_work
from landbridge.run.initial_network import bottleneck_of, strategy_class, tuned
from landbridge.tasks import Classification

log = logging.getLogger(__name__)

#: What decides. Learning rates, seeds and data do not, so that a sweep over them is checked once.
DECISIVE = (
    *("backbone", "bottleneck", "head", "tuning", "freeze", "strategy", "terms", "averaging", "trainer", "scheduler"),
)
#: A shape of raw samples, for backbones that take one.
SHAPE = (1, 28, 28)
#: Classes that no fault depends on.
CLASSES = ("a", "b", "c")

_known: dict[str, str | None] = {}


def rehearse(cfg: DictConfig) -> None:
    """Build the strategy of a checked configuration on the device `meta`, where tensors have no content.

    Each combination of settings is built once in a process. What cannot be built in this way is left to the run.

    Raises:
        LandbridgeError: the run would raise this error before its training.
    """
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    decisive = {name: config.get(name) for name in DECISIVE} | {"decay": config["optimizer"].get("weight_decay")}
    key = json.dumps(decisive, sort_keys=True, default=str)
    if key not in _known:
        _known[key] = _fault(cfg)
    if fault := _known[key]:
        raise LandbridgeError(fault)


def _fault(cfg: DictConfig) -> str | None:
    requirements = strategy_class(cfg).requirements
    try:
        with torch.device("meta"):
            shape = {"shape": SHAPE} if "shape" in read_signature(locate(cfg.backbone._target_)).hints else {}
            network = Network(
                build(cfg.backbone, **shape), len(CLASSES), factory(cfg.head), bottleneck=bottleneck_of(cfg)
            )
        network = tuned(cfg, network)
        if not requirements.needs <= Classification.gives:
            return None
        strategy = build_strategy(cfg, network, Classification(CLASSES), None, cfg.trainer.max_epochs)
        require_work(strategy)
    except LandbridgeError as error:
        return str(error)
    except Exception as error:  # a part that needs data or real tensors
        log.debug("not checked before the start: %r", error)
    return None
