"""Averages of the weights that training passes through: validated, kept and tested in their place."""

from abc import ABC
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging

from landbridge.training.weight_vectors import renew_statistics


class Averaging(WeightAveraging, ABC):
    """Lightning's averaging, with the average in place until all that is done in a validation is over."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the average to where training is; Lightning makes it before. Its count stays, as it is looked at."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)
        self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait: selection rules may still run the network."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the weights that train."""
        super().on_validation_epoch_end(trainer, pl_module)


class EMA(Averaging):
    r"""Exponential moving average over steps: $\bar\theta \leftarrow d\bar\theta + (1-d)\theta$, statistics included.

    After $n$ steps $d$ is no more than $(1 + n) / (10 + n)$, so that the start does not linger in short runs.

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

    BatchNorm statistics of the mean are measured anew for every validation (`measure_statistics`, a pass for each
    layer). Until an epoch counts, the weights that train stand for the mean. Learning rates stay the schedule's.

    Args:
        start: the first epoch that counts, from 0 on.
    """

    def __init__(self, start: Annotated[int, Ge(0)] = 0) -> None:
        super().__init__(use_buffers=False)
        self.start = start

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the weights to the mean if the epoch is over."""
        assert self._average_model is not None
        if trainer.is_last_batch:
            if trainer.current_epoch <= self.start:
                self._average_model.n_averaged.zero_()
            self._average_model.update_parameters(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Put the mean in place."""
        super().on_validation_epoch_start(trainer, pl_module)
        if trainer.current_epoch > self.start:
            renew_statistics(pl_module)
