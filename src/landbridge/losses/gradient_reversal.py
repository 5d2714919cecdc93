"""Gradient reversal: the identity in the forward pass, a negated and scaled gradient in the backward pass."""

import math
from typing import Any, overload

import torch
from torch import Tensor


class _ReverseGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, scale: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return -scale * gradients[0], None


def reverse_gradient(x: Tensor, scale: float | Tensor = 1.0) -> Tensor:
    r"""Reverse the gradient, as in domain-adversarial training (Ganin et al., 2016), arXiv:1505.07818.

    $$\mathcal{R}_\lambda(x) = x, \qquad \frac{\partial \mathcal{R}_\lambda}{\partial x} = -\lambda I$$

    Modules after the reversal (the discriminator) get the full gradient. Only modules before the reversal get the
    scaled gradient. The caller computes the schedule of `scale`. In contrast, TLLib's layer counts its own calls, and
    its scale depends on their number.

    Args:
        x: any shape.
        scale: $\lambda$, a number or a 0-d tensor. No gradient flows to it.

    Returns:
        `x`, unchanged.
    """
    # A 0-d tensor on the CPU can multiply a gradient on any device; no copy to the device is needed.
    return _ReverseGradient.apply(x, scale if isinstance(scale, Tensor) else torch.tensor(scale, dtype=x.dtype))


@overload
def dann_ramp(progress: float, steepness: float = 10.0) -> float: ...
@overload
def dann_ramp(progress: Tensor, steepness: float = 10.0) -> Tensor: ...
def dann_ramp(progress: float | Tensor, steepness: float = 10.0) -> float | Tensor:
    r"""Return the adversary's weight, which rises from 0 to 1 (Ganin et al., 2016), arXiv:1505.07818.

    $$\lambda(t) = \frac{2}{1 + e^{-10 t}} - 1$$

    TLLib uses steepness 1 and $t = i / 1000$ for iteration $i$, independent of the length of the training. There the
    weight can be far below 1 at the end of the training.

    Args:
        progress: $t$, the completed share of the training, in [0, 1]; a number or a tensor.
        steepness: the factor in the exponent, 10 in the paper.

    Returns:
        The weight, in [0, 1), of the type of `progress`.
    """
    return 2 / (1 + math.e ** (-steepness * progress)) - 1
