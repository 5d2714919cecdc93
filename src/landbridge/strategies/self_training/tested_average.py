"""The base of strategies that are tested with a moving average of their weights."""

from abc import ABC
from collections.abc import Callable
from copy import deepcopy
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from landbridge.data.activations import Activation
from landbridge.strategies.self_training.two_views import TwoViews


class TestedAverage(TwoViews, ABC):
    r"""A strategy on two views whose moving average of the weights is evaluated.

    The decay after n batches is $\min(d, (1 + n) / (10 + n))$. With the constant decay 0.999 of the authors of FixMatch
    and AdaMatch, the average would keep the share $0.999^n$ of the initial weights, which is 0.74 after 300 steps. The
    authors train for more than $10^5$ steps. BatchNorm's statistics are copied.

    Args:
        decay: decay of the moving average, $d$. With 0 the weights themselves are evaluated.
        **base: see `Strategy`.
    """

    # Their pseudo-labels make predictions confident.
    requirements: ClassVar = TwoViews.requirements.but(biased_rules={"entropy", "im"})

    def __init__(self, decay: Annotated[float, Ge(0), Lt(1)] = 0.999, **base: Any) -> None:
        super().__init__(**base)
        self.decay = decay
        self.averaged = deepcopy(self.network).requires_grad_(False)

    def network_for(self, name: str) -> Callable[[Tensor | Activation], tuple[Tensor, Tensor]]:
        """Return the network in training, and the moving average in evaluation."""
        return self.network if self.training else self.averaged

    @torch.no_grad()
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Update the moving average. BatchNorm's statistics are copied, because they are averages already."""
        decay = min(self.decay, (1 + self.batches_seen) / (10 + self.batches_seen))
        averages: list[Tensor] = list(self.averaged.parameters())
        weights: list[Tensor] = list(self.network.parameters())
        get_ema_multi_avg_fn(decay)(averages, weights, self.batches_seen)
        for average, current in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
            average.copy_(current)
