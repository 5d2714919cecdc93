"""Linear probes at several learning rates, trained side by side."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, Any

import torch
from annotated_types import Gt, MinLen
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from landbridge.errors import LandbridgeError
from landbridge.strategies.further_epochs import FurtherEpochs
from landbridge.strategies.output import Output
from landbridge.strategies.supervised import LinearProbe

#: Logits of this size are no predictions any more.
DIVERGED = 1e6


class LinearProbes(FurtherEpochs, LinearProbe):
    r"""Linear probes at several learning rates on the same batches: $\sum_r \mathrm{CE}(W_r f_t + b_r, y_t)$.

    Features come from a backbone that is frozen throughout, and no head's gradient reaches another. So each head learns
    what `linear_probe` would at its rate, from the same initial weights: a sweep over the rate for the steps of one
    run, as DINOv2 evaluates its features (Oquab et al., 2023, arXiv:2304.07193; there the heads also differ in the
    layers that they look at, and the best of them is reported on the data that chose it).

    In epochs of training the network has the head of the configured rate. Further epochs, which take no step, put the
    other heads into the network, one by one, as they are when training is over, and at last that of the configured rate
    again. So the selection rule chooses the rate, and `last` takes the configured one. A head whose outputs are not
    finite is the worst, and leaves the others alone.

    Args:
        factors: learning rates of the other heads, as multiples of `optimizer.lr`.
        **base: see `Strategy`. Its freezing policy has no effect.

    Raises:
        LandbridgeError: terms, or one norm for the gradients of all heads, would make a difference to single probes.
    """

    def __init__(
        self,
        factors: Annotated[Sequence[Annotated[float, Gt(0)]], MinLen(1)] = (0.1, 0.3, 3.0, 10.0, 30.0, 100.0, 300.0),
        **base: Any,
    ) -> None:
        super().__init__(versions=len(factors) + 1, **base)
        if self.terms:
            raise LandbridgeError(
                f"terms: {', '.join(self.terms)} cannot act, for LinearProbes trains heads that share no output; use "
                "linear_probe for each learning rate"
            )
        self.factors = [*factors, 1.0]
        self.others = nn.ModuleList(deepcopy(self.network.head) for _ in factors)
        # Holds the network's own head while others are shown.
        self.own = deepcopy(self.network.head).requires_grad_(False)

    def on_train_start(self) -> None:
        """Refuse to clip the gradients of all heads as if they were one."""
        super().on_train_start()
        if self.trainer.gradient_clip_val:
            raise LandbridgeError(
                f"trainer.gradient_clip_val={self.trainer.gradient_clip_val}: LinearProbes would clip the gradients of "
                "all its heads together; use linear_probe for each learning rate"
            )

    def lr_scales(self) -> dict[str, float]:
        """Map each parameter of the other heads to its factor."""
        heads = zip(self.factors, self.others, strict=False)
        return super().lr_scales() | {
            f"others.{number}.{name}": factor
            for number, (factor, head) in enumerate(heads)
            for name, _ in head.named_parameters()
        }

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Cross-entropy of each head on the labelled target."""
        weight, bias = (torch.cat([getattr(head, of) for head in self.others]) for of in ("weight", "bias"))
        logits = linear(target.features, weight, bias).unflatten(1, (len(self.others), -1)).flatten(0, 1)
        # What has diverged gives no gradient, and loss and gradients stay finite for the others.
        logits = torch.where(logits.abs() < DIVERGED, logits, 0.0)
        others = cross_entropy(logits, target.y.repeat_interleave(len(self.others)), reduction="sum")
        return {"classify": self.classify(target), "others": others / len(target.y)}

    def noted(self, version: int | None) -> dict[str, Any]:
        """Name the learning rate, relative to the configured one."""
        return {"lr_factor": self.factors[-1 if version is None else version]}

    def show(self, version: int) -> None:
        """Put a head into the network."""
        if version == 0:
            self.own.load_state_dict(self.network.head.state_dict())
        shown = [*self.others, self.own][version]
        self.network.head.load_state_dict(shown.state_dict())
