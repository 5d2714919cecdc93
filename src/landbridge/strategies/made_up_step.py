"""One step on made-up features, which finds losses that cannot change what is tested before anything is computed."""

import logging
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.network import SOURCE_HEAD
from landbridge.strategies.base import Strategy
from landbridge.strategies.reach import VainLossError
from landbridge.tasks import Task

log = logging.getLogger(__name__)

#: Some losses need a sample per class. With more rows than this, the step would not be cheap.
ROWS = 512


def require_reach_over_frozen_stages(strategy: Strategy) -> None:
    """Refuse a loss that cannot change what is tested because all stages are frozen, such as an alignment of features.

    The backbone does not run: made-up features take the place of its output. A copy of the strategy computes the losses
    of the streams that it needs, so neither the strategy nor the global random state changes. If a stage ever trains,
    nothing is done, because every loss on features then changes it. A loss that needs real data or a trainer is left to
    the first step of training, in which `Strategy.loss_terms` measures again.

    Args:
        strategy: before training. Its network may be on the device `meta`.

    Raises:
        LandbridgeError: names the losses.
    """
    if strategy.trainable.ever or not (strategy.requirements.trains and strategy.requirements.streams):
        return
    try:
        with torch.random.fork_rng(devices=[]):
            _step(_with_shared_backbones(strategy))
    except VainLossError:
        raise
    except Exception as error:
        log.debug("the losses of %s are not tried before training: %r", type(strategy).__name__, error)
    finally:
        strategy.train()


def _step(strategy: Strategy) -> None:
    requirements, network = strategy.requirements, strategy.network
    if requirements.source_classifier:
        shapes = {"weight": (network.outputs, network.backbone.features), "bias": (network.outputs,)}
        strategy.load_auxiliary_state({SOURCE_HEAD + name: torch.randn(shape) for name, shape in shapes.items()})
    strategy.gather = False
    strategy.train()
    names = frozenset(requirements.streams).union(*(term.streams for term in strategy.terms.values()))
    own, added = strategy.losses(strategy.encode_streams({name: _batch(strategy, name) for name in sorted(names)}))
    strategy.require_reach(own, added)


def _batch(strategy: Strategy, name: str) -> Any:
    """Return a batch of a stream that has passed through all stages. A stream with views has them by name."""
    backbone, task = strategy.network.backbone, strategy.source_task if name == "source" else strategy.task
    n = min(max(4, strategy.task.outputs), ROWS)
    x = Activation(len(backbone.stages), (torch.randn(n, backbone.features),))
    views = {view: x for view, (of, _) in getattr(strategy, "views", {}).items() if of == name}
    labels = {} if name.endswith("_unlabelled") else {"y": _labels(task, n)}
    return {"x": views or x, "index": torch.arange(n), **labels}


def _labels(task: Task, n: int) -> Tensor:
    return torch.arange(n) % task.outputs if task.has_classes else torch.zeros(n, task.columns)


def _with_shared_backbones(strategy: Strategy) -> Strategy:
    """Return a copy that shares the backbones, which are large and do not run.

    Its other tensors get a random content if they have none, or are zeros that a start or an epoch would replace.
    """
    backbones = [each for each in strategy.modules() if isinstance(each, Backbone)]
    shared = {part for each in backbones for part in (*each.modules(), *each.parameters(), *each.buffers())}
    copy = deepcopy(strategy, {id(part): part for part in shared})
    for module in set(copy.modules()) - shared:
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta:
                setattr(module, name, nn.Parameter(torch.randn(parameter.shape), parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta or (buffer.is_floating_point() and not bool(buffer.any())):
                setattr(module, name, torch.rand(buffer.shape).to(buffer.dtype))
    return copy
