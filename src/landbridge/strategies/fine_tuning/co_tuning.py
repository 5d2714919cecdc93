"""Fine-tuning with an auxiliary loss on the source classifier."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from landbridge.losses import class_relationship
from landbridge.strategies.fine_tuning.look_back import WithSourceHead
from landbridge.training.output import Output


class CoTuning(WithSourceHead):
    r"""Co-Tuning (You et al., NeurIPS 2020).

    The loss is $\mathrm{CE}(g_t, y_t) + w\,\mathrm{CE}(g^{source}_t, p(y_s \mid y_t))$. The initial weights were
    trained with the source classifier, and this classifier continues to train. Its label for a target class is the mean
    of its initial predictions for the samples of this class, $p(y_s \mid y_t)$. The table of these labels is computed
    once, from the visible training labels only. This is the paper's direct estimate. The paper's reverse estimate
    learns $p(y_t \mid y_s)$, calibrates it and inverts it. The reverse estimate is not implemented.

    Args:
        weight: weight of the source classifier's loss, $w$.
        **base: see `Strategy`.
    """

    requirements: ClassVar = WithSourceHead.requirements.but(takes_mixed_labels=False)
    relationship: Tensor

    def __init__(self, weight: Annotated[float, Ge(0)] = 2.3, **base: Any) -> None:
        super().__init__(**base)
        self.weight = weight

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        r"""Load the source classifier, and allocate the table $p(y_s \mid y_t)$."""
        super().load_auxiliary_state(state)
        shape = self.network.outputs, self.source_head.out_features
        self.register_buffer("relationship", torch.zeros(shape))

    def on_train_start(self) -> None:
        """Compute the table before the first step. A resumed run has it from its checkpoint."""
        super().on_train_start()
        if self.batches_seen == 0:
            seen = self.collect("target")
            with torch.no_grad():
                probabilities = softmax(self.source_head(seen.features), dim=1)
            self.relationship.copy_(class_relationship(probabilities, seen.y, len(self.relationship)))

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Return the cross-entropy of the target's classes, and that of the source's classes."""
        related = cross_entropy(self.source_head(target.features), self.relationship[target.y])
        return super().loss(target) | {"relate": self.weight * related}
