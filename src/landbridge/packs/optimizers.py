"""Optimizers of many members at once. Parameters have a leading axis of members, and settings differ per member.

Each follows `torch.optim` operation by operation, so a member differs from a single run by rounding errors only.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, optim
from torch.nn import Parameter

#: The parameters of a member, by name.
Parameters = Mapping[str, Parameter]


class PackedOptimizer(ABC):
    """Updates stacked parameters, with the settings and the state of each member's own optimizer.

    Args:
        optimizers: the optimizer of each member.
        own: the parameters of each member.
        stacked: the stacked parameters (members, ...) by name; they are changed in place.
    """

    #: Entries of a parameter's state that have its shape.
    moments: ClassVar[tuple[str, ...]]
    #: Settings that are numbers, and may differ among the members.
    numbers: ClassVar[tuple[str, ...]]

    def __init__(
        self, optimizers: Sequence[optim.Optimizer], own: Sequence[Parameters], stacked: Mapping[str, Tensor]
    ) -> None:
        self.optimizers = optimizers
        self.own = own
        self.stacked = stacked
        #: By parameter: settings of each member (members,), steps that it has taken (members,), moments (members, ...).
        self.settings: dict[str, dict[str, Tensor]] = {}
        self.steps: dict[str, Tensor] = {}
        self.states: dict[str, dict[str, Tensor]] = {}
        for name, tensor in stacked.items():
            pairs = [(optimizer, each[name]) for optimizer, each in zip(optimizers, own, strict=True)]
            groups = [_group(optimizer, parameter) for optimizer, parameter in pairs]
            known = [optimizer.state.get(parameter, {}) for optimizer, parameter in pairs]
            self.settings[name] = {each: _numbers([group[each] for group in groups]) for each in self.numbers}
            self.settings[name]["lr"] = _numbers([group.get("initial_lr", group["lr"]) for group in groups])
            self.steps[name] = _numbers([self.taken(state) for state in known])
            self.states[name] = {
                moment: torch.stack([_or_zeros(state.get(moment), tensor[m]) for m, state in enumerate(known)])
                for moment in self.moments
            }

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], factors: Tensor) -> None:
        """Take a step.

        Args:
            gradients: by name (members, ...).
            factors: factor of each member on its initial learning rates (members,).
        """
        for name, gradient in gradients.items():
            self.update(name, self.stacked[name], gradient, self.settings[name]["lr"] * factors)
            self.steps[name] += 1

    @abstractmethod
    def update(self, name: str, p: Tensor, g: Tensor, rates: Tensor) -> None:
        """Change a parameter (members, ...) in place, from its gradient and the members' rates (members,)."""

    @torch.no_grad()
    def write_back(self) -> None:
        """Write parameters and states into the members' own parameters and optimizers."""
        for name, tensor in self.stacked.items():
            for m, (optimizer, own) in enumerate(zip(self.optimizers, self.own, strict=True)):
                own[name].copy_(tensor[m])
                moments = {moment: stack[m].clone() for moment, stack in self.states[name].items()}
                if state := self.state(name, m, moments):
                    optimizer.state[own[name]] = state

    @abstractmethod
    def taken(self, state: Mapping[str, Any]) -> float:
        """Return how many steps a state of `torch.optim` has seen; the first one may differ from all others."""

    @abstractmethod
    def state(self, name: str, member: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        """Return the state of a parameter of one member as `torch.optim` has it; empty if it has none."""


class PackedAdam(PackedOptimizer):
    """Adam, with weight decay in the gradient."""

    moments: ClassVar = ("exp_avg", "exp_avg_sq")
    numbers: ClassVar = ("beta1", "beta2", "eps", "weight_decay")
    decoupled: ClassVar[bool] = False

    def update(self, name: str, p: Tensor, g: Tensor, rates: Tensor) -> None:
        """See `PackedOptimizer.update`."""
        beta1, beta2, eps, decay = (self.settings[name][each] for each in self.numbers)
        average, squares = (self.states[name][each] for each in self.moments)
        steps = self.steps[name] + 1
        if self.decoupled:
            p.mul_(_per_member(1 - rates * decay, p))
        elif decay.any():
            g = g + _per_member(decay, p) * p
        average.lerp_(g, _per_member(1 - beta1, p))
        squares.mul_(_per_member(beta2, p)).add_(_per_member(1 - beta2, p) * g * g)
        size, root = rates / (1 - beta1**steps), (1 - beta2**steps).sqrt()
        below = (squares.sqrt() / _per_member(root, p)).add_(_per_member(eps, p))
        p.sub_(_per_member(size, p) * (average / below))

    def taken(self, state: Mapping[str, Any]) -> float:
        """Adam counts its steps."""
        return float(state.get("step", 0))

    def state(self, name: str, member: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        """Return moments and the number of steps."""
        return {"step": torch.tensor(float(self.steps[name][member])), **moments}


class PackedAdamW(PackedAdam):
    """Adam with decoupled weight decay."""

    decoupled: ClassVar = True


class PackedSGD(PackedOptimizer):
    """SGD with momentum, plain or of Nesterov. Members differ in the size of the momentum, not in having one."""

    moments: ClassVar = ("momentum_buffer",)
    numbers: ClassVar = ("momentum", "dampening", "weight_decay", "nesterov")

    def update(self, name: str, p: Tensor, g: Tensor, rates: Tensor) -> None:
        """See `PackedOptimizer.update`."""
        momentum, dampening, decay, nesterov = (self.settings[name][each] for each in self.numbers)
        if decay.any():
            g = g + _per_member(decay, p) * p
        if momentum.any():
            # Dampening does not apply to the first step.
            new = 1 - dampening.where(self.steps[name] > 0, 0.0)
            buffer = self.states[name]["momentum_buffer"]
            buffer.mul_(_per_member(momentum, p)).add_(_per_member(new, p) * g)
            g = g + _per_member(momentum, p) * buffer if nesterov.any() else buffer
        p.sub_(_per_member(rates, p) * g)

    def taken(self, state: Mapping[str, Any]) -> float:
        """SGD has a buffer after its first step, and counts nothing."""
        return float(state.get("momentum_buffer") is not None)

    def state(self, name: str, member: int, moments: dict[str, Tensor]) -> dict[str, Any]:
        """Return the buffer if there is momentum."""
        return moments if self.settings[name]["momentum"][member] else {}


#: By torch's class, that of the pack.
PACKED: Mapping[type[optim.Optimizer], type[PackedOptimizer]] = {
    optim.Adam: PackedAdam,
    optim.AdamW: PackedAdamW,
    optim.SGD: PackedSGD,
}


def clip(gradients: Mapping[str, Tensor], most: float, algorithm: str | None) -> dict[str, Tensor]:
    """Clip the gradients of each member by themselves, as Lightning does for one run.

    Args:
        gradients: by name (members, ...).
        most: largest norm over all parameters of a member, or largest value.
        algorithm: `norm` or `value`; None: `norm`.
    """
    if algorithm == "value":
        return {name: each.clamp(-most, most) for name, each in gradients.items()}
    norms = torch.stack([each.flatten(1).norm(dim=1) for each in gradients.values()], 1).norm(dim=1)
    factors = (most / (norms + 1e-6)).clamp(max=1.0)
    return {name: each * factors.view(-1, *[1] * (each.ndim - 1)) for name, each in gradients.items()}


def _per_member(values: Tensor, like: Tensor) -> Tensor:
    """Return one value a member (members,) in the shape (members, 1, ...), with the type and device of a parameter."""
    return values.to(like.device, like.dtype).view(-1, *[1] * (like.ndim - 1))


def _or_zeros(tensor: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if tensor is None else tensor.to(like.device)


def _numbers(values: Sequence[Any]) -> Tensor:
    """Return one number a member (members,) in double precision, as Python computes."""
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def _group(optimizer: optim.Optimizer, parameter: Parameter) -> dict[str, Any]:
    """Return the settings of the parameter group that holds a parameter."""
    group = next(group for group in optimizer.param_groups if any(each is parameter for each in group["params"]))
    beta1, beta2 = group.get("betas", (0.0, 0.0))
    return {**group, "beta1": beta1, "beta2": beta2}
