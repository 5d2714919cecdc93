"""Adaptation by the margin disparity discrepancy."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import dann_ramp, mdd_objective, reverse_gradient
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class MDD(Strategy):
    r"""Margin disparity discrepancy (Zhang et al., 2019, arXiv:1904.05801).

    An adversarial head $f'$ is trained to agree with the main head $f$ on the source, and to disagree with it on the
    target. The encoder is trained against $f'$, so that both heads agree. The loss is
    $\mathrm{CE}(g_s, y_s) - w\,[-\gamma\,\mathcal E_s(f', f) + \mathcal E_t(f', f)]$. The input of $f'$ passes a
    gradient reversal with the factor $0.1\,\lambda(t)$, $\lambda(t) = 2 / (1 + e^{-10t}) - 1$. In the paper's code this
    factor rises to 0.1 by a schedule that counts iterations.

    The decisions of the main head have no gradient. Both heads are of the kind that `head` sets, with different initial
    weights. `strategy=mdd` sets `head=mdd`: a hidden layer of 1024 with dropout 0.5, as in the authors' code
    (thuml/MDD, `model/MDD.py`). $\gamma = 4$ is their value for Office-31 (`trainer/train.py`). For Office-Home it is
    2, with a hidden layer of 2048. In their network the dropout before the hidden layers is a part of the bottleneck,
    so both heads drop the same features; here each head drops its own. Their pretrained backbone learns at a tenth of
    the heads' rate: `strategy.backbone_lr_scale=0.1`. If target labels are visible, the cross-entropy includes them.

    Args:
        gamma: margin factor, $\gamma$.
        weight: weight of the adversarial head's objective, $w$.
        reversal: final factor of the gradient reversal.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, needs={ONE_CLASS}
    )

    def __init__(
        self,
        gamma: Annotated[float, Gt(0)] = 4.0,
        weight: Annotated[float, Ge(0)] = 1.0,
        reversal: Annotated[float, Ge(0)] = 0.1,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.gamma = gamma
        self.weight = weight
        self.reversal = reversal
        self.adversary = self.network.new_head()

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropy of labelled samples, and the weighted objective of the adversarial head."""
        scale = self.reversal * dann_ramp(self.progress)
        against = [self.adversary(reverse_gradient(s.features, scale)) for s in (source, target_unlabelled)]
        objective = mdd_objective(source.logits, against[0], target_unlabelled.logits, against[1], self.gamma)
        return {"supervised": self.supervised(source, target), "contradict": -self.weight * objective}
