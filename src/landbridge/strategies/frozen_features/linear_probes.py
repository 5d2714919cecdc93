"""Linear probes at several learning rates, trained in one run."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt, MinLen
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer

from landbridge.strategies.further_epochs import FurtherEpochs
from landbridge.strategies.supervised.supervised import LinearProbe
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output

#: Logits with a larger absolute value have diverged. Sums of smaller logits over a batch are still finite.
DIVERGED = 1e30


class LinearProbes(FurtherEpochs, LinearProbe):
    r"""Linear probes at several learning rates on the same batches: $\sum_r \mathrm{CE}(W_r f_t + b_r, y_t)$.

    The backbone is frozen in all epochs, and the gradient of each head reaches only this head. So each head is equal to
    the head of a run of `linear_probe` at the same learning rate, from the same initial weights. One run replaces a
    sweep over the learning rate. DINOv2 evaluates its features in this way (Oquab et al., 2023, arXiv:2304.07193).
    There the heads also read different layers, and the best head is reported on the data that chose it. Mixed precision
    applies to the features and to the head of the configured learning rate. The logits of the other heads are in full
    precision.

    In training epochs the network has the head of the configured learning rate. Further epochs take no step. Each puts
    one of the other heads, as it is after training, into the network. The last further epoch puts the head of the
    configured learning rate back. So the selection rule chooses the learning rate, and the rule `last` chooses the
    configured one. A head with non-finite outputs has the lowest score, and has no effect on the other heads.

    Args:
        factors: learning rates of the other heads, as multiples of `optimizer.lr`.
        **base: see `Strategy`. The configured freezing policy has no effect.
    """

    requirements: ClassVar = FurtherEpochs.requirements.but(
        needs={ONE_CLASS},
        frozen_backbone=True,
        takes_mixed_labels=False,
        no_terms_because="each of its heads has a separate output: use linear_probe for each learning rate",
    )

    # Further epochs put the other heads into the network.
    tested: ClassVar = ("network.", "others.")

    def __init__(
        self,
        factors: Annotated[Sequence[Annotated[float, Gt(0)]], MinLen(1)] = (0.1, 0.3, 3.0, 10.0, 30.0, 100.0, 300.0),
        **base: Any,
    ) -> None:
        super().__init__(versions=len(factors) + 1, **base)
        self.factors = [*factors, 1.0]
        self.others = nn.ModuleList(deepcopy(self.network.head) for _ in factors)
        # A copy of the network's own head, for the epochs in which the network has another head.
        self.own = deepcopy(self.network.head).requires_grad_(False)

    def lr_scales(self) -> dict[str, float]:
        """Map names of parameters to their learning rates relative to the head's, with the factors of other heads."""
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
        """Clip the gradient of each head separately, as separate runs would do."""
        if gradient_clip_val:
            clip = clip_grad_value_ if gradient_clip_algorithm == "value" else clip_grad_norm_
            for head in (self.network.head, *self.others):
                clip(head.parameters(), gradient_clip_val)

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Return the cross-entropy of the configured head on the labelled target, and the sum over the other heads."""
        weight, bias = (torch.cat([getattr(head, of) for head in self.others]) for of in ("weight", "bias"))
        others = linear(target.features, weight, bias).unflatten(1, (len(self.others), -1)).flatten(0, 1)
        times = len(self.others)
        losses = self.task.losses(_bounded(others), target.y.repeat_interleave(times))
        if target.weights is not None:
            losses = losses * target.weights.repeat_interleave(times)
        own = self.supervised(replace(target, logits=_bounded(target.logits)))
        return {"supervised": own, "others": losses.sum() / len(target.y)}

    def noted(self, version: int | None) -> dict[str, Any]:
        """Return the learning rate relative to the configured one."""
        return {"lr_factor": self.factors[-1 if version is None else version]}

    def show(self, version: int) -> None:
        """Put a head into the network."""
        if version == 0:
            self.own.load_state_dict(self.network.head.state_dict())
        shown = [*self.others, self.own][version]
        self.network.head.load_state_dict(shown.state_dict())


def _bounded(logits: Tensor) -> Tensor:
    """Replace diverged logits by 0.

    They then have no gradient, and the loss and the gradients of the other heads stay finite.
    """
    return torch.where(logits.abs() < DIVERGED, logits, 0.0)
