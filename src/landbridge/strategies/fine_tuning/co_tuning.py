"""Fine-tuning that keeps the source classifier at work."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from landbridge.losses import class_relationship
from landbridge.strategies.fine_tuning.look_back import WithSourceHead
from landbridge.training.output import Output


class CoTuning(WithSourceHead):
    r"""Co-Tuning (You et al., NeurIPS 2020).

    $\mathrm{CE}(g_t, y_t) + w\,\mathrm{CE}(g^{source}_t, p(y_s \mid y_t))$: the classifier that the start was trained
    with is trained on, towards what it said at the start of the samples of a target class on average. That table is
    made once, from visible training labels alone. It is the paper's direct estimate; the reverse one, which learns
    $p(y_t \mid y_s)$, calibrates it and inverts it, is not here.

    Args:
        weight: of the source classes, $w$.
        **base: see `Strategy`.
    """

    relationship: Tensor

    def __init__(self, weight: Annotated[float, Ge(0)] = 2.3, **base: Any) -> None:
        super().__init__(**base)
        self.weight = weight

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over the classifier, and make room for what its classes say of the target's."""
        super().load_auxiliary_state(state)
        shape = self.network.outputs, self.source_head.out_features
        self.register_buffer("relationship", torch.zeros(shape))

    def on_train_start(self) -> None:
        """Relate the classes before the first step; a resumed run finds the table in its checkpoint."""
        super().on_train_start()
        if self.batches_seen == 0:
            seen = self.collect("target")
            with torch.no_grad():
                said = softmax(self.source_head(seen.features), dim=1)
            self.relationship.copy_(class_relationship(said, seen.y, len(self.relationship)))

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Classify target samples among the target's classes and among the source's."""
        related = cross_entropy(self.source_head(target.features), self.relationship[target.y])
        return super().loss(target) | {"relate": self.weight * related}
