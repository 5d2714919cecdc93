"""Averages of the weights over training. The average is validated, saved and tested in place of the weights."""

from abc import ABC
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging

from landbridge.training.weight_vectors import renew_statistics


class Averaging(WeightAveraging, ABC):
    """Lightning's weight averaging, with the average kept in the network until the whole validation has ended."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the average to the device that trains, because Lightning creates it on another one.

        Its counter of updates stays on the CPU, because reading a counter on a GPU makes the CPU wait.
        """
        assert self._average_model is not None
        self._average_model.to(pl_module.device)
        self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do nothing yet, because selection rules may still run the network with the average."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights that train back into the network."""
        super().on_validation_epoch_end(trainer, pl_module)


class EMA(Averaging):
    r"""Exponential moving average over steps: $\bar\theta \leftarrow d\bar\theta + (1-d)\theta$.

    BatchNorm statistics are averaged as well. After $n$ steps $d$ is at most $(1 + n) / (10 + n)$. This limits the
    influence of the initial weights in short runs.

    Args:
        decay: $d$, in (0, 1).
    """

    def __init__(self, decay: Annotated[float, Gt(0), Lt(1)] = 0.999) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay

    def _average(self, old: Any, new: Any, _: Any) -> None:
        assert self._average_model is not None
        steps = float(self._average_model.n_averaged)
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        if old[0].is_floating_point():
            torch._foreach_lerp_(old, new, share)  # pyright: ignore[reportPrivateImportUsage]
        else:
            torch._foreach_copy_(old, new)  # pyright: ignore[reportPrivateImportUsage]


class SWA(Averaging):
    """Stochastic weight averaging (Izmailov et al., 2018, arXiv:1803.05407): the mean of the weights at epochs' ends.

    Before every validation the BatchNorm statistics of the mean are measured (`measure_statistics`, one pass over the
    data for each layer). Before epoch `start` the current weights are used instead of the mean. The learning rates
    follow the configured schedule.

    Args:
        start: the first epoch that enters the mean, counted from 0.
    """

    def __init__(self, start: Annotated[int, Ge(0)] = 0) -> None:
        super().__init__(use_buffers=False)
        self.start = start

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the weights to the mean after the last batch of an epoch."""
        assert self._average_model is not None
        if trainer.is_last_batch:
            if trainer.current_epoch <= self.start:
                self._average_model.n_averaged.zero_()
            self._average_model.update_parameters(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Put the mean into the network, and measure its BatchNorm statistics."""
        super().on_validation_epoch_start(trainer, pl_module)
        if trainer.current_epoch > self.start:
            renew_statistics(pl_module)
