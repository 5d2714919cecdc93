"""Trains one epoch of many members at once: heads on frozen features, each with its own order, rates and steps."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import Parameter
from torch.nn.utils.parametrizations import _WeightNorm
from torch.optim import Optimizer

from landbridge.data.activations import Activation
from landbridge.packs.features import Features
from landbridge.packs.optimizers import PACKED, clip
from landbridge.strategies.base import STEPS_BETWEEN_CHECKS, Strategy
from landbridge.strategies.loss_totals import total
from landbridge.training.output import Output


@dataclass(frozen=True)
class Samples:
    """The samples of one stream of a member, in the order in which the epoch reads them.

    Attributes:
        features: of the samples of all members with this backbone.
        rows: rows of the features (steps, b).
        index: positions in the stream (steps, b).
        y: labels (steps, b, ...).
        weights: of the samples in the loss (steps, b); None if all count alike.
    """

    features: Features
    rows: Tensor
    index: Tensor
    y: Tensor
    weights: Tensor | None

    @property
    def signature(self) -> Hashable:
        """What must be equal, so that the samples of two members can be stacked."""
        return id(self.features), self.rows.shape, self.y.shape, self.y.dtype, self.weights is None


@dataclass
class Epoch:
    """One epoch of one member.

    Attributes:
        strategy: its strategy, on the device that trains.
        optimizer: its optimizer.
        streams: the samples by stream.
        parameters: the parameters that train, by name.
        buffers: the buffers behind the features, by name.
        clip: the trainer's `gradient_clip_val` and `gradient_clip_algorithm`.
        sums: after the epoch, the sums of the loss terms over its steps.
        steps: after the epoch, its steps; fewer if the member has diverged.
        seconds: after the epoch, the share of the member in the time that it took.
    """

    strategy: Strategy
    optimizer: Optimizer
    streams: Mapping[str, Samples]
    parameters: Mapping[str, Parameter]
    buffers: Mapping[str, Tensor]
    clip: tuple[float | None, str | None] = (None, None)
    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0

    @property
    def signature(self) -> Hashable:
        """What must be equal, so that two members can train as one batched program."""
        tensors = {**self.parameters, **self.buffers}
        shapes = tuple((name, each.shape, each.dtype) for name, each in tensors.items())
        streams = tuple((name, each.signature) for name, each in self.streams.items())
        task = repr((self.strategy.task, self.strategy.source_task))
        return type(self.strategy), task, type(self.optimizer), shapes, streams, self.clip


def train_together(epochs: Sequence[Epoch], stopped: Callable[[], Any]) -> None:
    """Train an epoch of each member. Members that fit together are one batched program.

    Args:
        epochs: of the members; the results are written into them and into strategies and optimizers.
        stopped: whether to give up; asked at every step.
    """
    groups: dict[Hashable, list[Epoch]] = {}
    for epoch in epochs:
        groups.setdefault(epoch.signature, []).append(epoch)
    for group in groups.values():
        _train(group, stopped)


def _train(group: Sequence[Epoch], stopped: Callable[[], Any]) -> None:
    first = group[0]
    own = [epoch.parameters for epoch in group]
    stacked = {name: torch.stack([each[name].detach() for each in own]).requires_grad_() for name in first.parameters}
    buffers = {name: torch.stack([epoch.buffers[name] for epoch in group]) for name in first.buffers}
    optimizer = PACKED[type(first.optimizer)]([epoch.optimizer for epoch in group], own, stacked)
    streams = {name: _Stacked([epoch.streams[name] for epoch in group]) for name in first.streams}
    steps = len(next(iter(first.streams.values())).rows)
    factors = _factors(group, steps)
    losses = vmap(partial(_losses, first.strategy, _Places(first.strategy, [*stacked, *buffers])))
    sums: dict[str, Tensor] = {}
    most, algorithm = first.clip
    with _batched(first.strategy.network.head):
        for step in range(steps):
            if stopped():
                return
            batches = {name: stream.batch(step) for name, stream in streams.items()}
            loss, terms = losses(stacked, buffers, batches)
            gradients = dict(zip(stacked, torch.autograd.grad(loss.sum(), list(stacked.values())), strict=True))
            if most:
                gradients = clip(gradients, most, algorithm)
            optimizer.step(gradients, factors[:, step])
            sums = {name: sums[name] + each.detach() if sums else each.detach() for name, each in terms.items()}
            _note_divergence(group, sums, step + 1)
    optimizer.write_back()
    for m, epoch in enumerate(group):
        if not epoch.steps:
            epoch.steps, epoch.sums = steps, {name: each[m] for name, each in sums.items()}


def _factors(group: Sequence[Epoch], steps: int) -> Tensor:
    """Return the factor of each member on its learning rates at each step (members, steps)."""
    rows = [[epoch.strategy.lr_factor(epoch.strategy.batches_seen + step) for step in range(steps)] for epoch in group]
    return torch.tensor(rows, dtype=torch.float64)


def _note_divergence(group: Sequence[Epoch], sums: Mapping[str, Tensor], steps: int) -> None:
    """Keep the sums of a member that has diverged, at the steps after which a single run checks its sums."""
    due = [m for m, epoch in enumerate(group) if (epoch.strategy.batches_seen + steps) % STEPS_BETWEEN_CHECKS == 0]
    if not due:
        return
    finite = torch.stack([each.isfinite() for each in sums.values()]).all(0).tolist()
    for m in due:
        if not finite[m] and not group[m].steps:
            group[m].steps, group[m].sums = steps, {name: each[m] for name, each in sums.items()}


class _Stacked:
    """The samples of one stream of all members."""

    def __init__(self, members: Sequence[Samples]) -> None:
        self.table = members[0].features.on(members[0].y.device)
        self.rows, self.index, self.y = (
            torch.stack([getattr(each, name) for each in members], 1) for name in ("rows", "index", "y")
        )
        given = [each.weights for each in members if each.weights is not None]
        self.weights = torch.stack(given, 1) if given else None

    def batch(self, step: int) -> dict[str, Tensor]:
        """Return features (members, b, d), positions, labels and weights of one step."""
        rows = self.rows[step]
        x = self.table.index_select(0, rows.flatten()).view(*rows.shape, -1)
        batch = {"x": x, "index": self.index[step], "y": self.y[step]}
        return batch if self.weights is None else batch | {"weights": self.weights[step]}


class _Places:
    """The places of some parameters and buffers in their modules, where other tensors can stand for them.

    `torch.func.functional_call` does the same, but looks through all modules of the backbone in every step.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._tensors: dict[str, tuple[dict[str, Any], str]] = {}
        for name in names:
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            self._tensors[name] = (owner._parameters if leaf in owner._parameters else owner._buffers, leaf)

    @contextmanager
    def filled(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Within the block, put tensors into the places, by name."""
        own = {name: held[leaf] for name, (held, leaf) in self._tensors.items()}
        try:
            self._put(tensors)
            yield
        finally:
            self._put(own)

    def _put(self, tensors: Mapping[str, Any]) -> None:
        for name, (held, leaf) in self._tensors.items():
            held[leaf] = tensors[name]


def _losses(
    strategy: Strategy,
    places: _Places,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    batches: Mapping[str, Mapping[str, Tensor]],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of one member and its terms; `vmap` makes it one of all members."""
    stages, outputs = len(strategy.network.backbone.stages), {}
    with places.filled({**parameters, **buffers}):
        for name, batch in batches.items():
            features, logits = strategy.network_for(name)(Activation(stages, (batch["x"],)))
            outputs[name] = Output(name, features, logits, batch["index"], batch["y"], batch.get("weights"))
        terms, _ = strategy.losses(outputs)
    return total(terms), terms


@contextmanager
def _batched(head: nn.Module) -> Iterator[None]:
    """Let `vmap` run the network: the fused operation of weight normalisation has no rule for batches."""
    fused = [module for module in head.modules() if isinstance(module, _WeightNorm)]
    for module in fused:
        module.forward = partial(_weight_norm, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in fused:
            del module.forward


def _weight_norm(module: _WeightNorm, length: Tensor, direction: Tensor) -> Tensor:
    others = [axis for axis in range(direction.ndim) if axis != module.dim]
    return direction * (length / direction.norm(dim=others, keepdim=True))
