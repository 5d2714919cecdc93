"""Minimax entropy with a cosine head."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.heads import Cosine, require_linear
from landbridge.losses import entropy, reverse_gradient
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class MME(Strategy):
    r"""Minimax entropy (Saito et al., 2019, arXiv:1904.06487), semi-supervised if target labels are visible.

    The loss is $\mathrm{CE}(g_s, y_s) + \mathrm{CE}(g_t, y_t) - w\,H(F(\mathrm{GRL}_1(f)))$, with a gradient reversal
    between encoder and head. The entropy is that of the predictions for unlabelled target samples. The head maximises
    the entropy, which moves its prototypes towards the target. The encoder minimises the entropy, which moves the
    features towards the prototypes.

    The authors take one optimizer step for the cross-entropy and one for the entropy; here one step minimises the sum.
    The rows of the head are not normalised, as in the authors' code.

    Args:
        weight: weight of the entropy, $w$.
        temperature: divisor of the head's logits.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"},
        optional_streams={"target"},
        needs={ONE_CLASS},
        biased_rules={"entropy", "im"},
    )

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 0.1, temperature: Annotated[float, Gt(0)] = 0.05, **base: Any
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        linear = require_linear(self.network.head, self)
        cosine = Cosine(linear.in_features, linear.out_features, temperature)
        cosine.weight = linear.weight
        self.network.head = cosine

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the cross-entropy of labelled samples, and the negative entropy behind a gradient reversal."""
        logits = self.network.head(reverse_gradient(target_unlabelled.features))
        return {"supervised": self.supervised(source, target), "entropy": -self.weight * entropy(logits)}
