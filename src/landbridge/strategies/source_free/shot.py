"""Source-free adaptation of the encoder with a frozen head."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from landbridge.losses import information_maximisation, shot_pseudo_labels
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class SHOT(Strategy):
    r"""Source hypothesis transfer, SHOT and SHOT-IM (Liang et al., 2020, arXiv:2002.08546).

    The source model is adapted without source data. Its head is frozen. Backbone and bottleneck minimise
    $w\,[\frac1n \sum_i H(p_i) - H(\bar p)] + \beta\,\mathrm{CE}(g, \hat y)$. The pseudo-labels $\hat y$ come from class
    centroids of the whole target set, and are computed at the start of every epoch. With $\beta = 0$ this is SHOT-IM.
    If target labels are visible, their cross-entropy is added.

    The default of $\beta$ is that of the authors' script for digits (tim-learn/SHOT, digit/digit.sh). For photographs
    they take 0.3 (object/image_target.py). Their source model is trained with label smoothing and has a
    weight-normalised head, behind a bottleneck for photographs: `label_smoothing=0.1 head=weight_norm
    bottleneck=linear_bn`. This is not the default here, because a method and
    its reference must share the source model.

    Args:
        beta: weight of the pseudo-labels' cross-entropy, $\beta$. With 0 no pseudo-labels are computed.
        weight: weight of the information maximisation, $w$.
        min_count: a class that is predicted at most this often is not used as a pseudo-label.
        **base: see `Strategy`.
    """

    requirements: ClassVar = Requirements(
        streams={"target_unlabelled"},
        optional_streams={"target"},
        source_model=True,
        trains_head=False,
        needs={ONE_CLASS},
        biased_rules={"class_ami", "diversity", "entropy", "im"},
    )

    def __init__(
        self,
        beta: Annotated[float, Ge(0)] = 0.1,
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
        """Compute the epoch's pseudo-labels.

        They depend only on the weights and the inputs, so that a resumed run computes the same pseudo-labels.
        """
        super().on_train_epoch_start()
        if self.beta:
            seen = self.collect("target_unlabelled")
            self._pseudo_labels = shot_pseudo_labels(seen.features, softmax(seen.logits, dim=1), self.min_count)

    def loss(self, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Return the information maximisation loss, and the cross-entropies of pseudo-labels and of target labels."""
        terms = {"inform": -self.weight * information_maximisation(target_unlabelled.logits)}
        if self._pseudo_labels is not None:
            labels = self._pseudo_labels[target_unlabelled.index]
            terms["pseudo_label"] = self.beta * cross_entropy(target_unlabelled.logits, labels)
        return terms | ({"supervised": self.supervised(target)} if target else {})
