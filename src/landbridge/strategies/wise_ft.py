"""Ensembling a model with itself before fine-tuning, in weight space."""

from typing import Annotated, Any, ClassVar, cast

from annotated_types import Ge
from torch import Tensor

from landbridge.data.streams import Batch
from landbridge.strategies.mixing import as_vector, pour, renew_statistics
from landbridge.strategies.supervised import TargetOnly


class WiSEFT(TargetOnly):
    r"""WiSE-FT (Wortsman et al., 2022, arXiv:2109.01903): $\theta_\alpha = (1 - \alpha)\,\theta_0 + \alpha\,\theta_1$.

    It fine-tunes the start $\theta_0$, head included, for the epochs that are planned. Further epochs take no step:
    each puts one $\alpha$ from 0 to 1 into the network. So every selection rule scores the whole curve, and the
    configured one picks from it; a training epoch counts as $\alpha = 1$. Between the ends, BatchNorm statistics of
    the stages that train are measured anew on the labelled target (`measure_statistics`, a pass for each layer).

    Args:
        points: of the curve, ends included: 11 are 0, 0.1, ..., 1.
        **base: see `Strategy`.
    """

    before: Tensor
    after: Tensor
    needs: ClassVar = frozenset({"target"})
    averages: ClassVar = False
    continues_source: ClassVar = True

    def __init__(self, points: Annotated[int, Ge(2)] = 11, **base: Any) -> None:
        super().__init__(**base)
        self.points = points
        self.training_epochs = 0
        # In checkpoints, so that a run that was interrupted on the curve goes on with it.
        self.register_buffer("before", as_vector(self.network.state_dict()))
        self.register_buffer("after", self.before.clone())

    def setup(self, stage: str) -> None:
        """Plan an epoch for each point of the curve after those that train."""
        super().setup(stage)
        if stage == "fit":
            self.training_epochs = cast(int, self.trainer.max_epochs)
            self.trainer.fit_loop.max_epochs = self.training_epochs + self.points
            self.data.reading_epochs = self.training_epochs

    def on_train_epoch_start(self) -> None:
        """Train or, once that is done, go to the epoch's point of the curve."""
        super().on_train_epoch_start()
        point = self.current_epoch - self.training_epochs
        self.automatic_optimization = point < 0
        self.note = {"alpha": 1.0 if point < 0 else point / (self.points - 1)}
        if point == 0:
            self.after.copy_(as_vector(self.network.state_dict()))
        if point >= 0:
            # Exact at both ends.
            pour(self.before.lerp(self.after, self.note["alpha"]), self.network)
            if 0 < point < self.points - 1:
                renew_statistics(self)
                self.train()

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor | None:
        """Take a step while there is something to learn."""
        return super().training_step(batch, batch_idx) if self.automatic_optimization else None
