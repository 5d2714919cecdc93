"""Ensembling a model with itself before fine-tuning, in weight space."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from landbridge.strategies.further_epochs import FurtherEpochs
from landbridge.training.weight_vectors import as_vector, pour, renew_statistics


class WiSEFT(FurtherEpochs):
    r"""WiSE-FT (Wortsman et al., 2022, arXiv:2109.01903): $\theta_\alpha = (1 - \alpha)\,\theta_0 + \alpha\,\theta_1$.

    It fine-tunes the start $\theta_0$, head included, for the epochs that are planned. Further epochs take no step:
    each puts one $\alpha$ from 0 to 1 into the network. So every selection rule scores the whole curve, and the
    configured one picks from it; a training epoch counts as $\alpha = 1$. Between the ends, BatchNorm statistics of
    the stages that train are measured anew on the labelled target (`measure_statistics`, a pass for each layer).

    Args:
        points: of the curve, ends included: 11 are 0, 0.1, ..., 1.
        **base: see `Strategy`.
    """

    after: Tensor
    requirements: ClassVar = FurtherEpochs.requirements.but(source_model=True, looks_back=True)

    def __init__(self, points: Annotated[int, Ge(2)] = 11, **base: Any) -> None:
        super().__init__(versions=points, **base)
        # In the checkpoint, so that a run that was interrupted on the curve goes on with it.
        self.register_buffer("after", as_vector(self.network.state_dict()))

    def noted(self, version: int | None) -> dict[str, Any]:
        """Name the point of the curve."""
        return {"alpha": 1.0 if version is None else version / (self.versions - 1)}

    def show(self, version: int) -> None:
        """Go to a point of the curve."""
        if version == 0:
            self.after.copy_(as_vector(self.network.state_dict()))
        # Exact at both ends.
        before = as_vector(self.initial.network.state_dict())
        pour(before.lerp(self.after, self.note["alpha"]), self.network)
        if 0 < version < self.versions - 1:
            renew_statistics(self)
            self.train()
