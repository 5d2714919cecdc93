"""Averages of the weights that training passes through, which are validated, kept and tested in their place."""

from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from landbridge.strategies.mixing import renew_statistics


class EMA(WeightAveraging):
    r"""Exponential moving average of weights and statistics over steps: $\bar\theta \leftarrow d\bar\theta + (1-d)\theta$.

    After $n$ steps $d$ is no more than $(1 + n) / (10 + n)$, so that the start does not linger in short runs.

    Args:
        decay: $d$, in (0, 1).
    """

    def __init__(self, decay: Annotated[float, Gt(0), Lt(1)] = 0.999) -> None:
        def average(old: Tensor, new: Tensor, number: Any) -> Tensor:
            return old.lerp(new, 1 - min(decay, (1 + float(number)) / (10 + float(number))))

        super().__init__(avg_fn=average)


class SWA(WeightAveraging):
    """Stochastic weight averaging (Izmailov et al., 2018, arXiv:1803.05407): the mean of the weights at epochs' ends.

    BatchNorm statistics of the mean are measured anew for every validation (`measure_statistics`). Before the first
    averaged epoch, the weights are those of the epoch. Learning rates stay those of the schedule.

    Args:
        start: first epoch that counts, from 0 on.
    """

    def __init__(self, start: Annotated[int, Ge(0)] = 0) -> None:
        super().__init__(use_buffers=False)
        self.start = start
