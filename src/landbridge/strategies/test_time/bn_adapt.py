"""Adaptation of BatchNorm statistics to the test stream."""

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from landbridge.strategies.test_time.online import OnlineAdaptation
from landbridge.training.norm_layers import layers_with_statistics
from landbridge.training.output import Output


class BNAdapt(OnlineAdaptation):
    r"""Running BatchNorm adaptation, after Schneider et al. (2020, arXiv:2006.16971).

    The statistics $s$ of every BatchNorm layer start as those of the source model. Each test batch updates them,
    $s \leftarrow (1 - m)\,s + m\,s_\text{batch}$, and is then normalised by the result. With $m = 0$ this is the source
    model. With $m = 1$ every batch is normalised by its own statistics (Nado et al., 2020, arXiv:2006.10963).

    Schneider et al. mix the source's statistics with those of a single batch of $n$ samples, $m = n / (N + n)$. Here
    the statistics accumulate over batches. After $k$ batches the source has the share $(1 - m)^k$. No parameter
    changes. Frozen stages keep their statistics.

    Args:
        momentum: share of a test batch in the statistics, $m$.
        batch_size: number of test samples in a batch.
        **online: see `OnlineAdaptation`.
    """

    def __init__(
        self,
        momentum: Annotated[float, Ge(0), Le(1)] = 0.1,
        batch_size: Annotated[int, Gt(0)] = 64,
        **online: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **online)
        self.momentum = momentum
        self._layers = layers_with_statistics(self)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def adapted(self) -> Iterable[Tensor]:
        """Return the running means and variances of the BatchNorm layers."""
        for layer in self._layers:
            assert layer.running_mean is not None
            assert layer.running_var is not None
            yield from (layer.running_mean, layer.running_var)

    def on_predict_start(self) -> None:
        """Register hooks that update the statistics of every layer before it normalises its input."""
        super().on_predict_start()
        self._hooks = [layer.register_forward_pre_hook(self._update) for layer in self._layers]

    def on_predict_end(self) -> None:
        """Restore the source model and remove the hooks, so that the next stream starts from the source model."""
        super().on_predict_end()
        for hook in self._hooks:
            hook.remove()

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Output:
        """Predict a batch. The forward pass also updates the statistics."""
        self.require_rows(batch)
        return super().predict_step(batch, batch_idx, dataloader_idx)

    def _update(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        var, mean = torch.var_mean(inputs[0].float().transpose(0, 1).flatten(1), dim=1)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.lerp_(mean, self.momentum)
        layer.running_var.lerp_(var, self.momentum)
