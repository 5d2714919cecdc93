"""Terms on the predictions for unlabelled target samples."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from torch import Tensor

from landbridge.losses import bnm, entropy, fixmatch, information_maximisation, mcc
from landbridge.strategies.requirements import CLASSES
from landbridge.strategies.terms.term import UNLABELLED, Term, Training
from landbridge.training.output import Output


class MCCTerm(Term):
    r"""Minimum class confusion (Jin et al., 2020, arXiv:1912.03699): $L = L_\mathrm{MCC}(g_t)$, see `losses.mcc`.

    Predictions on the target, softened by a temperature, should not waver between the same two classes. Nothing is
    aligned. `strategy=mcc` sets `ramp=dann`, because the first predictions of a network that starts from scratch are
    noise; the paper starts from pretrained weights and holds the weight constant.

    Args:
        temperature: of the predictions.
        **term: see `Term`.
    """

    name: ClassVar = "mcc"
    streams: ClassVar = frozenset({UNLABELLED})
    tasks: ClassVar = CLASSES
    biased_rules: ClassVar = frozenset({"bnm", "im"})

    def __init__(self, temperature: Annotated[float, Gt(0)] = 2.5, **term: Any) -> None:
        super().__init__(**term)
        self.temperature = temperature

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the class confusion."""
        outputs[UNLABELLED].require_row_per_class("terms: mcc")
        return mcc(outputs[UNLABELLED].logits, self.temperature)


class BNMTerm(Term):
    r"""Batch nuclear-norm maximisation (Cui et al., 2020, arXiv:2003.12237): $L = -|P_t|_* / n$, see `losses.bnm`.

    The nuclear norm of the class probabilities $P_t$ of $n$ target samples is large where predictions are confident
    and of many classes. The weight is constant, as in the paper.

    Args:
        **term: see `Term`.
    """

    name: ClassVar = "bnm"
    streams: ClassVar = frozenset({UNLABELLED})
    tasks: ClassVar = CLASSES
    biased_rules: ClassVar = frozenset({"bnm", "im"})

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the negated nuclear norm."""
        outputs[UNLABELLED].require_row_per_class("terms: bnm")
        return bnm(outputs[UNLABELLED].logits)


class EntropyTerm(Term):
    r"""Entropy minimisation (Grandvalet & Bengio, NIPS 2004): $L = \frac1n \sum_i H(p^t_i)$, see `losses.entropy`.

    Predictions on the target should be confident. This pushes the boundary between classes out of dense regions, and
    makes wrong predictions confident as well. The weight is that of the baseline ENT of Saito et al. (2019,
    arXiv:1904.06487). `strategy=entropy` sets `ramp=dann`, which is not theirs, because the first predictions of a
    network that starts from scratch are noise.

    Args:
        weight: see `Term`.
        **term: see `Term`.
    """

    name: ClassVar = "entropy"
    streams: ClassVar = frozenset({UNLABELLED})
    tasks: ClassVar = CLASSES
    biased_rules: ClassVar = frozenset({"entropy", "im"})

    def __init__(self, weight: Annotated[float, Ge(0)] = 0.1, **term: Any) -> None:
        super().__init__(weight=weight, **term)

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the mean entropy in nats."""
        return entropy(outputs[UNLABELLED].logits)


class InformationMaximisationTerm(Term):
    r"""Information maximisation, as SHOT uses it (Liang et al., 2020, arXiv:2002.08546).

    $L = \frac1n \sum_i H(p^t_i) - H(\bar p^t)$: predictions should be confident, and not all of the same class.

    Args:
        **term: see `Term`.
    """

    name: ClassVar = "information_maximisation"
    streams: ClassVar = frozenset({UNLABELLED})
    tasks: ClassVar = CLASSES
    biased_rules: ClassVar = frozenset({"im", "entropy", "diversity"})

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return mean entropy minus the entropy of the mean prediction."""
        return -information_maximisation(outputs[UNLABELLED].logits)


class PseudoLabelTerm(Term):
    r"""Pseudo-labels with a threshold (Lee, "Pseudo-Label", ICML 2013 workshop on representation learning).

    A target sample whose largest class probability exceeds $\tau$ counts as labelled with that class:
    $L = \frac1n \sum_i \mathbb 1[\max_k p_{ik} > \tau]\,\mathrm{CE}(g_i, \arg\max_k p_{ik})$. `strategy=pseudo_label`
    sets `ramp=dann`; the paper has a linear rise and no threshold.

    Args:
        threshold: $\tau$; at 1 no sample counts.
        **term: see `Term`.
    """

    name: ClassVar = "pseudo_label"
    streams: ClassVar = frozenset({UNLABELLED})
    tasks: ClassVar = CLASSES

    def __init__(self, threshold: Annotated[float, Ge(0), Le(1)] = 0.95, **term: Any) -> None:
        super().__init__(**term)
        self.threshold = threshold

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the cross-entropy of confident samples with their own predictions."""
        logits = outputs[UNLABELLED].logits
        # FixMatch without augmentation: the same view gives the label and learns it.
        return fixmatch(logits, logits, self.threshold)
