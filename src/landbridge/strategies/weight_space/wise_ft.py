"""Interpolation between the weights before and after fine-tuning."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from landbridge.strategies.further_epochs import FurtherEpochs
from landbridge.training.weight_vectors import as_vector, pour, renew_statistics


class WiSEFT(FurtherEpochs):
    r"""WiSE-FT (Wortsman et al., 2022, arXiv:2109.01903): $\theta_\alpha = (1 - \alpha)\,\theta_0 + \alpha\,\theta_1$.

    WiSE-FT fine-tunes the initial model $\theta_0$, including its head, for the planned epochs. The result is
    $\theta_1$. Further epochs take no step. Each puts $\theta_\alpha$ for one $\alpha$ from 0 to 1 into the network. So
    every selection rule scores the whole curve, and the configured rule chooses one point. A training epoch has
    $\alpha = 1$ in the record. For $0 < \alpha < 1$ the BatchNorm statistics of the stages that train are measured on
    the labelled target (`measure_statistics`, one pass over the data for each layer).

    Args:
        points: number of values of $\alpha$, both ends included. For example, 11 gives 0, 0.1, ..., 1.
        **base: see `Strategy`.
    """

    after: Tensor
    requirements: ClassVar = FurtherEpochs.requirements.but(source_model=True, separate_heads=False, looks_back=True)

    def __init__(self, points: Annotated[int, Ge(2)] = 11, **base: Any) -> None:
        super().__init__(versions=points, **base)
        # A buffer is in the checkpoint, so a run that was interrupted on the curve can be resumed.
        self.register_buffer("after", as_vector(self.network.state_dict()))

    def noted(self, version: int | None) -> dict[str, Any]:
        """Return the value of alpha."""
        return {"alpha": 1.0 if version is None else version / (self.versions - 1)}

    def show(self, version: int) -> None:
        """Put a point of the curve into the network."""
        if version == 0:
            self.after.copy_(as_vector(self.network.state_dict()))
        # `lerp` is exact for alpha = 0 and alpha = 1.
        before = as_vector(self.initial.network.state_dict())
        pour(before.lerp(self.after, self.note["alpha"]), self.network)
        if 0 < version < self.versions - 1:
            renew_statistics(self)
            self.train()
