"""Auxiliary losses on the norms and the singular values of features."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from torch import Tensor

from landbridge.losses import bsp, bss, safn
from landbridge.strategies.terms.term import SOURCE, TARGET, UNLABELLED, Term, Training
from landbridge.training.output import Output


class SAFNTerm(Term):
    r"""Stepwise adaptive feature norm (Xu et al., 2019, arXiv:1811.07456).

    $L = \sum_D \frac1n \sum_{i \in D} \bigl(|f_i| - (\operatorname{sg}|f_i| + \Delta)\bigr)^2$ over both domains $D$.
    The loss increases the norm of every feature a little in each step. Its value is always $2 \Delta^2$, so its curve
    has no information. Norms may grow without bound on small networks. The weight is constant, as in the paper.

    Step and weight are those of the authors' code (jihanyang/AFN, vanilla/Office31/SAFN/code/train.py).
    `strategy=safn` also has its dropout of 0.5 on the features, which preserves their norms
    (`strategy.feature_dropout`; model/net.py beside it).

    Args:
        weight: see `Term`.
        step: the increase of the norm, $\Delta$.
        **term: see `Term`.
    """

    name: ClassVar = "safn"
    streams: ClassVar = frozenset({SOURCE, UNLABELLED})

    def __init__(
        self, weight: Annotated[float, Ge(0)] = 0.05, step: Annotated[float, Gt(0)] = 1.0, **term: Any
    ) -> None:
        super().__init__(weight=weight, **term)
        self.step = step

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the sum over both domains."""
        return safn(outputs[SOURCE].features, self.step) + safn(outputs[UNLABELLED].features, self.step)


class BSPTerm(Term):
    r"""Batch spectral penalisation (Chen et al., ICML 2019).

    $L = \sum_{i \le k} \bigl(\sigma_i(F_s)^2 + \sigma_i(F_t)^2\bigr)$ with the largest singular values of each domain's
    batch of features. In adversarial training a few directions of the features become dominant, and classes are harder
    to separate. The loss reduces these directions. It is meant for adversarial strategies: `strategy=bsp` is DANN with
    this auxiliary loss. Its gradient is not reversed and its weight is constant, as in TLLib. The authors' code
    (thuml/Batch-Spectral-Penalization, `BSP+DANN.py` and `train.py`) has a weight of 1e-4, and dropout in the
    discriminator: `strategy.dropout=0.5`.

    Args:
        weight: see `Term`.
        k: number of penalised singular values of each domain.
        **term: see `Term`.
    """

    name: ClassVar = "bsp"
    streams: ClassVar = frozenset({SOURCE, UNLABELLED})

    def __init__(self, weight: Annotated[float, Ge(0)] = 2e-4, k: Annotated[int, Gt(0)] = 1, **term: Any) -> None:
        super().__init__(weight=weight, **term)
        self.k = k

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the sum of the largest squared singular values of both domains."""
        return bsp(outputs[SOURCE].features, outputs[UNLABELLED].features, self.k)


class BSSTerm(Term):
    r"""Batch spectral shrinkage (Chen et al., "Catastrophic Forgetting Meets Negative Transfer", NeurIPS 2019).

    $L = \sum_{i=1}^k \sigma_{-i}(F_t)^2$ over the smallest singular values of a batch of target features (n, d) from
    the labelled stream. The method assumes that directions with small singular values transfer badly. If n < d, there
    are n singular values, and the smallest of these are used. This auxiliary loss is for fine-tuning. The penalty on
    the largest singular values, `bsp`, is for adaptation.

    Args:
        weight: see `Term`.
        k: number of penalised singular values.
        **term: see `Term`.
    """

    name: ClassVar = "bss"
    streams: ClassVar = frozenset({TARGET})

    def __init__(self, weight: Annotated[float, Ge(0)] = 1e-3, k: Annotated[int, Gt(0)] = 1, **term: Any) -> None:
        super().__init__(weight=weight, **term)
        self.k = k

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the sum of the smallest squared singular values."""
        return bss(outputs[TARGET].features, self.k)
