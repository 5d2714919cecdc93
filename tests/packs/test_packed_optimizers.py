"""Optimizers of many members equal those of torch, member by member."""

import pytest
import torch
from torch import nn, optim

from landbridge.packs.optimizers import PACKED, clip

#: For each optimizer: the settings of three members.
SETTINGS = {
    "adam": (
        optim.Adam,
        [{"lr": 0.1}, {"lr": 0.01, "weight_decay": 0.1}, {"lr": 0.3, "betas": (0.5, 0.9), "eps": 0.1}],
    ),
    "adamw": (optim.AdamW, [{"lr": 0.1}, {"lr": 0.01, "weight_decay": 0.5}, {"lr": 0.3, "betas": (0.5, 0.9)}]),
    "sgd": (optim.SGD, [{"lr": 0.1}, {"lr": 0.01, "weight_decay": 0.5}, {"lr": 0.3}]),
    "momentum": (
        optim.SGD,
        [{"lr": 0.1, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.5, "dampening": 0.3}, {"lr": 0.3, "momentum": 0.1}],
    ),
    "nesterov": (
        optim.SGD,
        [
            {"lr": lr, "momentum": m, "nesterov": True, "weight_decay": 0.1}
            for lr, m in ((0.1, 0.9), (0.2, 0.5), (1, 0.1))
        ],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_members_step_as_torch_does(name):
    """The members have taken different numbers of steps before, and their states are packed anew after three steps."""
    make, settings = SETTINGS[name]
    torch.manual_seed(0)
    shapes = {"weight": (4, 3), "bias": (4,)}
    one, other = (
        [
            {key: nn.Parameter(torch.randn(*shape, generator=torch.Generator().manual_seed(m)).double())
             for key, shape in shapes.items()}
            for m in range(len(settings))
        ]
        for _ in range(2)
    )  # fmt: skip
    singles = [make(each.values(), **kwargs) for each, kwargs in zip(one, settings, strict=True)]
    members = [make(each.values(), **kwargs) for each, kwargs in zip(other, settings, strict=True)]
    for m, (mine, packed_one, single, member) in enumerate(zip(one, other, singles, members, strict=True)):
        for _ in range(m):
            gradient = {key: torch.randn(*shape).double() for key, shape in shapes.items()}
            _step(mine, single, gradient)
            _step(packed_one, member, gradient)
    for factor in (1.0, 0.5):
        stacked = {key: torch.stack([each[key].detach() for each in other]) for key in shapes}
        packed = PACKED[make](members, other, stacked)
        for _ in range(3):
            gradients = {key: torch.randn(3, *shape).double() for key, shape in shapes.items()}
            packed.step(gradients, torch.full((3,), factor, dtype=torch.float64))
            for m, (parameters, optimizer) in enumerate(zip(one, singles, strict=True)):
                optimizer.param_groups[0]["lr"] = settings[m]["lr"] * factor
                _step(parameters, optimizer, {key: each[m] for key, each in gradients.items()})
        packed.write_back()
        for mine, torchs, member, single in zip(other, one, members, singles, strict=True):
            for key in shapes:
                assert torch.allclose(mine[key], torchs[key], rtol=1e-14, atol=1e-14)
            assert _plain(member.state_dict()["state"]) == pytest.approx(
                _plain(single.state_dict()["state"]), rel=1e-12
            )


def _step(parameters: dict[str, nn.Parameter], optimizer: optim.Optimizer, gradient: dict[str, torch.Tensor]) -> None:
    for key, parameter in parameters.items():
        parameter.grad = gradient[key].clone()
    optimizer.step()


def _plain(state: dict) -> dict[str, float]:
    """Return every number of a state under a name, and what is no tensor as 0."""
    numbers = {}
    for key, entries in state.items():
        for name, value in entries.items():
            values = value.double().flatten().tolist() if isinstance(value, torch.Tensor) else [0.0]
            numbers |= {f"{key} {name} {place}": each for place, each in enumerate(values)}
    return numbers


@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
def test_each_member_is_clipped_by_its_own_gradients(algorithm):
    gradients = {
        "weight": torch.randn(3, 4, 2) * torch.tensor([0.01, 1.0, 100.0]).view(3, 1, 1),
        "bias": torch.ones(3, 4),
    }
    clipped = clip(gradients, 1.5, algorithm)
    for m in range(3):
        own = [nn.Parameter(torch.zeros_like(each[m])) for each in gradients.values()]
        for parameter, each in zip(own, gradients.values(), strict=True):
            parameter.grad = each[m].clone()
        if algorithm == "value":
            nn.utils.clip_grad_value_(own, 1.5)
        else:
            nn.utils.clip_grad_norm_(own, 1.5)
        for parameter, each in zip(own, clipped.values(), strict=True):
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad, each[m], rtol=1e-6)
