"""Source-free adaptation of the encoder to a fixed head."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from landbridge.losses import information_maximisation, shot_pseudo_labels
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import CLASSES, Requirements
from landbridge.training.output import Output


class SHOT(Strategy):
    r"""Source hypothesis transfer, SHOT and SHOT-IM (Liang et al., 2020, arXiv:2002.08546).

    The source model is adapted without its data. Its head stays as it is, and the encoder minimises
    $w\,[\frac1n \sum_i H(p_i) - H(\bar p)] + \beta\,\mathrm{CE}(g, \hat y)$, where the pseudo-labels $\hat y$ come from
    class centroids of the whole target set and are found anew at the start of every epoch. With $\beta = 0$ it is
    SHOT-IM. The paper's source stage has label smoothing of 0.1 and a weight-normalised head; here any source model
    will do. Visible target labels, where there are any, add their cross-entropy.

    Args:
        beta: weight of the pseudo-labels' cross-entropy; 0 looks for none.
        weight: of the information maximisation, $w$.
        min_count: classes predicted at most this often are given to no sample.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"target_unlabelled"},
        optional_streams={"target"},
        source_model=True,
        trains_head=False,
        tasks=CLASSES,
        biased_rules={"diversity", "entropy", "im"},
    )

    def __init__(
        self,
        beta: Annotated[float, Ge(0)] = 0.3,
        weight: Annotated[float, Ge(0)] = 1.0,
        min_count: Annotated[int, Ge(0)] = 0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.beta = beta
        self.weight = weight
        self.min_count = min_count
        self._pseudo_labels: Tensor | None = None

    def on_train_epoch_start(self) -> None:
        """Find the epoch's pseudo-labels, from the weights alone, so that a resume finds the same."""
        super().on_train_epoch_start()
        if self.beta:
            seen = self.collect("target_unlabelled")
            self._pseudo_labels = shot_pseudo_labels(seen.features, softmax(seen.logits, dim=1), self.min_count)

    def loss(self, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Be sure of every sample but not always of the same class; learn the pseudo-labels."""
        terms = {"inform": -self.weight * information_maximisation(target_unlabelled.logits)}
        if self._pseudo_labels is not None:
            labels = self._pseudo_labels[target_unlabelled.index]
            terms["pseudo_label"] = self.beta * cross_entropy(target_unlabelled.logits, labels)
        return terms | ({"classify": self.classify(target)} if target else {})
