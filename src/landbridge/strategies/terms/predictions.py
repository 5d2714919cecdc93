"""Auxiliary losses on the predictions for unlabelled target samples."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from torch import Tensor

from landbridge.losses import bnm, entropy, fixmatch, information_maximisation, mcc
from landbridge.strategies.terms.term import UNLABELLED, Term, Training
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class MCCTerm(Term):
    r"""Minimum class confusion (Jin et al., 2020, arXiv:1912.03699): $L = L_\mathrm{MCC}(g_t)$, see `losses.mcc`.

    The loss is large if predictions on the target, softened by a temperature, divide their probability between the same
    pairs of classes. Features are not aligned. `strategy=mcc` sets `ramp=dann`, because the first predictions of a
    network that starts from scratch are noise. The paper starts from pretrained weights and has a constant weight.

    Args:
        temperature: divisor of the logits.
        **term: see `Term`.
    """

    name: ClassVar = "mcc"
    streams: ClassVar = frozenset({UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    biased_rules: ClassVar = frozenset({"bnm", "im"})

    def __init__(self, temperature: Annotated[float, Gt(0)] = 2.5, **term: Any) -> None:
        super().__init__(**term)
        self.temperature = temperature

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the class confusion."""
        outputs[UNLABELLED].require_row_per_class("terms: mcc")
        return mcc(outputs[UNLABELLED].logits, self.temperature)


class BNMTerm(Term):
    r"""Batch nuclear-norm maximisation (Cui et al., 2020, arXiv:2003.12237), see `losses.bnm`.

    $L = -|P_t|_* / \min(n, K)$. The nuclear norm of the class probabilities $P_t$ of $n$ target samples is large if
    predictions are confident and contain many classes. The division and the constant weight of 1 are those of the
    authors' code (cuishuhao/BNM, `DA/BNM/train_image.py`). The paper divides by $n$: that is a weight of $K / n$.

    Args:
        **term: see `Term`.
    """

    name: ClassVar = "bnm"
    streams: ClassVar = frozenset({UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    biased_rules: ClassVar = frozenset({"bnm", "im"})

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the negated nuclear norm."""
        outputs[UNLABELLED].require_row_per_class("terms: bnm")
        return bnm(outputs[UNLABELLED].logits)


class EntropyTerm(Term):
    r"""Entropy minimisation (Grandvalet & Bengio, NIPS 2004): $L = \frac1n \sum_i H(p^t_i)$, see `losses.entropy`.

    The loss makes predictions on the target confident. This moves the boundary between classes out of dense regions. It
    also makes wrong predictions confident. The default weight is that of the baseline ENT of Saito et al. (2019,
    arXiv:1904.06487). `strategy=entropy` sets `ramp=dann`, because the first predictions of a network that starts from
    scratch are noise. The baseline ENT has no ramp.

    Args:
        weight: see `Term`.
        **term: see `Term`.
    """

    name: ClassVar = "entropy"
    streams: ClassVar = frozenset({UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    biased_rules: ClassVar = frozenset({"entropy", "im"})

    def __init__(self, weight: Annotated[float, Ge(0)] = 0.1, **term: Any) -> None:
        super().__init__(weight=weight, **term)

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the mean entropy in nats."""
        return entropy(outputs[UNLABELLED].logits)


class InformationMaximisationTerm(Term):
    r"""Information maximisation, as in SHOT (Liang et al., 2020, arXiv:2002.08546).

    $L = \frac1n \sum_i H(p^t_i) - H(\bar p^t)$. The loss is small if predictions are confident and contain many
    classes.

    Args:
        **term: see `Term`.
    """

    name: ClassVar = "information_maximisation"
    streams: ClassVar = frozenset({UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    biased_rules: ClassVar = frozenset({"im", "entropy", "diversity"})

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return mean entropy minus the entropy of the mean prediction."""
        return -information_maximisation(outputs[UNLABELLED].logits)


class PseudoLabelTerm(Term):
    r"""Pseudo-labels with a threshold (Lee, "Pseudo-Label", ICML 2013 workshop on representation learning).

    If the largest class probability of a target sample exceeds $\tau$, this class is its pseudo-label:
    $L = \frac1n \sum_i \mathbb 1[\max_k p_{ik} > \tau]\,\mathrm{CE}(g_i, \arg\max_k p_{ik})$.

    The paper has a linear ramp and no threshold. Threshold, weight and ramp of `strategy=pseudo_label` are those of the
    implementation beside FixMatch (google-research/fixmatch, pseudo_label.py): 0.95, 1, and linear over the first 0.4
    of the training. That implementation also evaluates a moving average of the weights, see `averaging=ema`.

    Args:
        threshold: $\tau$. With 1 no sample has a pseudo-label.
        **term: see `Term`.
    """

    name: ClassVar = "pseudo_label"
    streams: ClassVar = frozenset({UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    biased_rules: ClassVar = frozenset({"entropy", "im"})  # it makes predictions confident

    def __init__(self, threshold: Annotated[float, Ge(0), Le(1)] = 0.95, **term: Any) -> None:
        super().__init__(**term)
        self.threshold = threshold

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the cross-entropy of confident samples with their pseudo-labels."""
        logits = outputs[UNLABELLED].logits
        # This is FixMatch without augmentation: the same view gives the pseudo-label and is trained on it.
        return fixmatch(logits, logits, self.threshold)
