"""Adaptive batch normalisation."""

from contextlib import suppress
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.moments import Moments
from landbridge.strategies.norm_layers import layers_with_statistics


class AdaBN(Strategy):
    r"""Adaptive batch normalisation (Li et al., 2016, arXiv:1603.04779), the cheapest strong baseline.

    The source model's BatchNorm statistics give way to those of the target's training split: for each channel the mean
    and the unbiased variance of the layer's input, pooled over all samples and positions. No weight changes, and no
    label is read. The statistics are exact: layers are measured one after the other, from the input on, each behind
    layers that use their new statistics already. That takes as many passes over the target as there are layers, each
    through the network up to that layer. Averages over batches, as in the paper, would miss how the batches' means
    differ. Frozen stages keep their statistics. One epoch is all it takes, and it ends training after that.

    Args:
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"target_unlabelled"})
    continues_source: ClassVar = True

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.automatic_optimization = False
        if self.terms:
            raise LandbridgeError(f"terms: {', '.join(self.terms)} cannot act, for AdaBN takes no gradient steps")
        self._layers = layers_with_statistics(self)

    def loss(self, target_unlabelled: Any) -> dict[str, Tensor]:
        """Nothing is minimised."""
        return {}

    def configure_optimizers(self) -> list[Any]:
        """Nothing is learned by gradient."""
        return []

    def parameter_counts(self) -> tuple[int, int]:
        """No parameter trains."""
        return super().parameter_counts()[0], 0

    def on_train_start(self) -> None:
        """Have nothing left to do where a run goes on after its one epoch."""
        self.trainer.should_stop = self.batches_seen > 0

    def on_train_epoch_start(self) -> None:
        """Measure every layer: a function of weights and inputs, whatever the statistics were before."""
        super().on_train_epoch_start()
        self.eval()
        for layer in self._in_order():
            moments = Moments()
            self._pass_until(layer, moments)
            moments.fill(layer)
        self.train()

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Count the step: all has been done at the start of the epoch."""
        self.count_step({})

    def on_train_epoch_end(self) -> None:
        """End training: another epoch would find the same."""
        super().on_train_epoch_end()
        self.trainer.should_stop = True

    def _in_order(self) -> list[nn.BatchNorm2d]:
        """Return the layers in the order in which a forward pass reaches them."""
        reached: dict[Any, None] = {}
        hooks = [layer.register_forward_pre_hook(lambda layer, _: reached.setdefault(layer)) for layer in self._layers]
        self._encode(next(iter(self._batches())))
        for hook in hooks:
            hook.remove()
        return list(reached)

    def _pass_until(self, layer: nn.Module, moments: Moments) -> None:
        def look(_: nn.Module, inputs: tuple[Tensor]) -> None:
            moments.add(inputs[0])
            raise _Reached

        hook = layer.register_forward_pre_hook(look)
        for batch in self._batches():
            with suppress(_Reached):
                self._encode(batch)
        hook.remove()

    def _batches(self) -> Any:
        return self.data.in_order("target_unlabelled")

    @torch.no_grad()
    def _encode(self, batch: Batch) -> None:
        self.encode("target_unlabelled", self.transfer_batch_to_device(batch, self.device, 0))


class _Reached(Exception):  # noqa: N818 -- nothing is wrong: the rest of a forward pass is not needed
    """A forward pass has come to the layer that is being measured."""
