"""Minimax entropy with a cosine head."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.heads import Cosine, require_linear
from landbridge.losses import entropy, reverse_gradient
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import CLASSES, Requirements
from landbridge.training.output import Output


class MME(Strategy):
    r"""Minimax entropy (Saito et al., 2019, arXiv:1904.06487), semi-supervised where there are target labels.

    On unlabelled target samples the head maximises the entropy of the predictions, which moves its prototypes towards
    the target, and the encoder minimises it, which gathers the features around them:
    $\mathrm{CE}(g_s, y_s) + \mathrm{CE}(g_t, y_t) - w\,H(F(\mathrm{GRL}_1(f)))$, with the gradient reversal between
    encoder and head. The authors take one optimizer step for each part; here both go into one. The head's rows have
    any length, as in their code.

    Args:
        weight: of the entropy, $w$.
        temperature: by which the head divides its logits.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"source", "target_unlabelled"}, optional_streams={"target"}, tasks=CLASSES, biased_rules={"entropy"}
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
        """Classify labelled samples; play for the entropy of the others."""
        logits = self.network.head(reverse_gradient(target_unlabelled.features))
        return {"classify": self.classify(source, target), "entropy": -self.weight * entropy(logits)}
