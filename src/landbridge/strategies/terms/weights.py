"""Auxiliary losses on the weights."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from landbridge.losses import l2_sp
from landbridge.strategies.terms.term import Term, Training
from landbridge.training.output import Output


class L2SPTerm(Term):
    r"""Weight decay towards the initial model, L2-SP (Li et al., 2018, arXiv:1802.01483).

    The loss is $\frac\alpha2 |w - w^0|^2 + \frac\beta2 |w_{head}|^2$, where $w$ are the parameters of the backbone.
    A bottleneck counts as a part of the head. The loss has no effect on BatchNorm statistics. It replaces the
    optimizer's weight decay, which must be 0, because it would move the same parameters towards zero.
    `strategy=l2_sp` sets $\beta = 0.01$.

    Args:
        weight: weight decay of the backbone towards its initial weights, $\alpha$.
        beta: weight decay of the head towards zero, $\beta$. With 0 the head has no weight decay.
        **term: see `Term`.
    """

    name: ClassVar = "l2_sp"
    looks_back: ClassVar = True
    replaces_weight_decay: ClassVar = True

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 0.01, beta: Annotated[float, Ge(0)] = 0.0, **term: Any
    ) -> None:
        super().__init__(weight=weight, **term)
        self.beta = beta

    def losses(self, outputs: Mapping[str, Output], training: Training) -> dict[str, Tensor]:
        """Return the sum of both weight decays."""
        rise = self.rise(training.progress)
        return {self.name: self._decay(training, rise * self.weight, rise * self.beta)}

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the weight decay of the backbone only, with a weight of 1."""
        return self._decay(training, 1.0, 0.0)

    def _decay(self, training: Training, alpha: float, beta: float) -> Tensor:
        assert training.initial is not None, "a term with looks_back needs the initial model"
        network = training.network
        parts = {"backbone": network.backbone, **(network.behind_the_backbone if beta else {})}
        weights = {name: parameters_to_vector(part.parameters()) for name, part in parts.items()}
        return l2_sp(weights, {"backbone": training.initial.backbone_vector}, alpha, beta)
