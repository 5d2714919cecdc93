"""Entropy minimisation at test time."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor
from torch.optim import Adam

from landbridge.losses import entropy
from landbridge.strategies.test_time.online import OnlineAdaptation
from landbridge.tasks import ONE_CLASS
from landbridge.training.norm_layers import BATCH_NORMS, layers_with_affine
from landbridge.training.output import Output


class TENT(OnlineAdaptation):
    r"""Test-time entropy minimisation (Wang et al., 2021, arXiv:2006.10726).

    On each test batch, Adam updates the affine parameters of the normalisation layers to reduce the mean entropy
    $\frac1n \sum_i H(p_i)$. The next batch starts from the updated parameters. BatchNorm normalises by the batch's own
    statistics. The prediction for a batch is the network's output *before* the (last) step on this batch.

    The paper adapts only BatchNorm2d. Here every normalisation layer with affine parameters is adapted, except in
    frozen stages. TENT fails if batches are small, have few classes, or are ordered by class.

    Args:
        steps_per_batch: number of Adam steps on each test batch.
        lr: learning rate of Adam. The configured optimizer only trains the source model.
        **online: see `OnlineAdaptation`.
    """

    requirements: ClassVar = OnlineAdaptation.requirements.but(needs={ONE_CLASS})

    def __init__(
        self,
        steps_per_batch: Annotated[int, Gt(0)] = 1,
        lr: Annotated[float, Gt(0)] = 1e-3,
        **online: Any,
    ) -> None:
        super().__init__(**online)
        self.steps_per_batch = steps_per_batch
        self.lr = lr
        self._layers = layers_with_affine(self)
        self._batch_norms = [layer for layer in self._layers if isinstance(layer, BATCH_NORMS)]

    def adapted(self) -> Iterable[Tensor]:
        """Return the scales and shifts of the normalisation layers."""
        return [parameter for layer in self._layers for parameter in layer.parameters(recurse=False)]

    def on_predict_start(self) -> None:
        """Make BatchNorm use batch statistics, and create the optimizer."""
        super().on_predict_start()
        for layer in self._batch_norms:
            # In this state running statistics are neither used nor updated. They stay those of the source model.
            layer.train().track_running_stats = False
        self._optimizer = Adam(self.adapted(), lr=self.lr)

    def on_predict_end(self) -> None:
        """Restore the source model, so that this stream has no influence on the next."""
        super().on_predict_end()
        for layer in self._batch_norms:
            layer.track_running_stats = True

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Output:
        """Predict a batch, then adapt to it."""
        if self._batch_norms:
            self.require_rows(batch)
        return [self._adapt(batch) for _ in range(self.steps_per_batch)][-1]

    @torch.enable_grad()
    def _adapt(self, batch: dict[str, Any]) -> Output:
        output = self.encode(batch["stream"], batch)
        self._optimizer.zero_grad()
        entropy(output.logits).backward(inputs=list(self.adapted()))
        self._optimizer.step()
        return replace(output, features=output.features.detach(), logits=output.logits.detach())
