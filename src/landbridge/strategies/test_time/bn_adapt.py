"""BatchNorm statistics that follow the test stream."""

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

    Each test batch moves the statistics of every BatchNorm layer, $s \leftarrow (1 - m)\,s + m\,s_\text{batch}$, from
    the source's on, and is then normalised by the result: with $m = 0$ it is the source model, with $m = 1$ every
    batch is normalised by itself (Nado et al., 2020, arXiv:2006.10963). Schneider et al. mix the source with a single
    batch, $m = n / (N + n)$ for a batch of $n$; here batches add up, and the source fades as $(1 - m)^k$ after $k$
    of them. No parameter changes. Frozen stages keep their statistics.

    Args:
        momentum: share of a test batch in the statistics, $m$.
        batch_size: test samples that arrive together.
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
        """Means and variances of the BatchNorm layers."""
        for layer in self._layers:
            assert layer.running_mean is not None
            assert layer.running_var is not None
            yield from (layer.running_mean, layer.running_var)

    def on_predict_start(self) -> None:
        """Look at what comes into every layer before it is normalised."""
        super().on_predict_start()
        self._hooks = [layer.register_forward_pre_hook(self._follow) for layer in self._layers]

    def on_predict_end(self) -> None:
        """Leave nothing of this stream to the next."""
        super().on_predict_end()
        for hook in self._hooks:
            hook.remove()

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Output:
        """Adapt to a batch on the way to its prediction."""
        self.require_rows(batch)
        return super().predict_step(batch, batch_idx, dataloader_idx)

    def _follow(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        var, mean = torch.var_mean(inputs[0].float().transpose(0, 1).flatten(1), dim=1)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.lerp_(mean, self.momentum)
        layer.running_var.lerp_(var, self.momentum)
