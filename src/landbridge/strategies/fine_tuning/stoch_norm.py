"""Fine-tuning in which BatchNorm uses running statistics for randomly chosen channels."""

from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.func import functional_call

from landbridge.errors import LandbridgeError
from landbridge.strategies.supervised.supervised import TargetOnly
from landbridge.training.norm_layers import BATCH_NORMS


class StochNorm(TargetOnly):
    r"""Stochastic normalisation (Kou et al., NeurIPS 2020).

    In training each channel of each BatchNorm layer is normalised by the running statistics with probability p, and by
    the batch's statistics otherwise. The running statistics are those from before the batch, as in the authors' code
    (thuml/StochNorm, module/stoch_norm.py). The batch then updates them, as in BatchNorm. Channels are drawn in every
    forward pass. Evaluation is that of BatchNorm. No layer is replaced, so that an ordinary run can start from the
    checkpoint. The loss is the cross-entropy of the visible target labels. The default p = 0.5 is that of the authors'
    train.py.

    Args:
        p: probability of the running statistics. With 0 the layers are ordinary BatchNorm.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the network has no BatchNorm layer with running statistics, or all of them are frozen.
    """

    def __init__(self, p: Annotated[float, Ge(0), Le(1)] = 0.5, **base: Any) -> None:
        super().__init__(**base)
        layers = [each for each in self.network.modules() if isinstance(each, BATCH_NORMS) and each.track_running_stats]
        if not layers:
            backbone = type(self.network.backbone).__name__
            raise LandbridgeError(
                f"strategy StochNorm: {backbone} has no BatchNorm layers with running statistics; choose another one"
            )
        self.train()
        if not any(layer.training for layer in layers):
            raise LandbridgeError(
                "strategy StochNorm: every BatchNorm layer is frozen, so it would be fine-tuning; lower freeze.depth "
                "or set tuning=full"
            )
        for layer in layers:
            _Mixed(layer, p)


class _Mixed:
    """Replaces random channels of a layer's output by channels that are normalised by running statistics.

    Args:
        layer: a BatchNorm layer.
        p: probability that a channel is replaced.
    """

    def __init__(self, layer: nn.Module, p: float) -> None:
        self.p = p
        self._by_running: Tensor | None = None
        layer.register_forward_pre_hook(self._before)
        layer.register_forward_hook(self._after)

    def _before(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        if not layer.training:
            return
        # Copies are needed, because this forward pass changes the statistics before the gradient is computed.
        running = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        layer.training = False
        # `functional_call` runs the hooks of the layer too. In evaluation mode they do nothing.
        self._by_running = functional_call(layer, running, inputs)
        layer.training = True

    def _after(self, layer: nn.Module, inputs: tuple[Tensor], by_batch: Tensor) -> Tensor | None:
        if not layer.training:
            return None
        by_running, self._by_running = self._by_running, None
        assert by_running is not None
        chosen = torch.rand(by_batch.shape[1], device=by_batch.device) < self.p
        return torch.where(chosen.view(-1, *[1] * (by_batch.ndim - 2)), by_running, by_batch)
