"""Linear probes at several learning rates, trained side by side."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt, MinLen
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer

from landbridge.strategies.further_epochs import FurtherEpochs
from landbridge.strategies.requirements import CLASSES
from landbridge.strategies.supervised.supervised import LinearProbe
from landbridge.training.output import Output

#: Logits beyond this have diverged; sums over a batch of those below are finite still.
DIVERGED = 1e30


class LinearProbes(FurtherEpochs, LinearProbe):
    r"""Linear probes at several learning rates on the same batches: $\sum_r \mathrm{CE}(W_r f_t + b_r, y_t)$.

    Features come from a backbone that is frozen throughout, and no head's gradient reaches another. So each head learns
    what `linear_probe` would at its rate, from the same start: a sweep over the rate for the steps of one run, as
    DINOv2 evaluates its features (Oquab et al., 2023, arXiv:2304.07193; there the heads also differ in the layers that
    they look at, and the best of them is reported on the data that chose it). Mixed precision reaches the features and
    the head of the configured rate; the logits of the others are in full precision.

    In epochs of training the network has the head of the configured rate. Further epochs, which take no step, put the
    other heads into the network, one by one, as they are when training is over, and at last that of the configured rate
    again. So the selection rule chooses the rate, and `last` takes the configured one. A head whose outputs are not
    finite is the worst, and leaves the others alone.

    Args:
        factors: learning rates of the other heads, as multiples of `optimizer.lr`.
        **base: see `Strategy`. Its freezing policy has no effect.
    """

    requirements: ClassVar = FurtherEpochs.requirements.but(
        tasks=CLASSES,
        ignored_groups={"freeze"},
        no_terms_because="its heads share no output: use linear_probe for each learning rate",
    )

    def __init__(
        self,
        factors: Annotated[Sequence[Annotated[float, Gt(0)]], MinLen(1)] = (0.1, 0.3, 3.0, 10.0, 30.0, 100.0, 300.0),
        **base: Any,
    ) -> None:
        super().__init__(versions=len(factors) + 1, **base)
        self.factors = [*factors, 1.0]
        self.others = nn.ModuleList(deepcopy(self.network.head) for _ in factors)
        # Holds the network's own head while others are shown.
        self.own = deepcopy(self.network.head).requires_grad_(False)

    def lr_scales(self) -> dict[str, float]:
        """Map each parameter of the other heads to its factor."""
        heads = zip(self.factors, self.others, strict=False)
        return super().lr_scales() | {
            f"others.{number}.{name}": factor
            for number, (factor, head) in enumerate(heads)
            for name, _ in head.named_parameters()
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each head's gradient by itself, as a run of its own would."""
        if gradient_clip_val:
            clip = clip_grad_value_ if gradient_clip_algorithm == "value" else clip_grad_norm_
            for head in (self.network.head, *self.others):
                clip(head.parameters(), gradient_clip_val)

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Cross-entropy of each head on the labelled target."""
        weight, bias = (torch.cat([getattr(head, of) for head in self.others]) for of in ("weight", "bias"))
        others = linear(target.features, weight, bias).unflatten(1, (len(self.others), -1)).flatten(0, 1)
        losses = cross_entropy(_bounded(others), target.y.repeat_interleave(len(self.others)), reduction="sum")
        own = cross_entropy(_bounded(target.logits), target.y)
        return {"classify": own, "others": losses / len(target.y)}

    def noted(self, version: int | None) -> dict[str, Any]:
        """Name the learning rate, relative to the configured one."""
        return {"lr_factor": self.factors[-1 if version is None else version]}

    def show(self, version: int) -> None:
        """Put a head into the network."""
        if version == 0:
            self.own.load_state_dict(self.network.head.state_dict())
        shown = [*self.others, self.own][version]
        self.network.head.load_state_dict(shown.state_dict())


def _bounded(logits: Tensor) -> Tensor:
    """Let what has diverged give no gradient, so that the loss and all gradients stay finite for the other heads."""
    return torch.where(logits.abs() < DIVERGED, logits, 0.0)
