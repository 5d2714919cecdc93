"""Auxiliary losses that align the features of source and target."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn.functional import softmax

from landbridge.errors import LandbridgeError
from landbridge.losses import (
    class_conditional_sliced_wasserstein2,
    coral,
    coral_with_mean,
    deepjdot,
    joint_mmd2,
    mmd2,
    random_directions,
    sliced_wasserstein2,
)
from landbridge.losses.mmd import Estimator
from landbridge.losses.transport import Plan
from landbridge.strategies.terms.term import SOURCE, UNLABELLED, Term, Training
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output

Share = Annotated[float, Ge(0), Le(1)]

CORAL = {"paper": coral, "with_mean": coral_with_mean}
# The authors' bandwidth for class probabilities, whose distances have a known scale: 2 sigma^2 = 1.68.
PROBABILITIES_SIGMA2 = 0.84


class CORALTerm(Term):
    r"""Deep CORAL (Sun & Saenko, 2016, arXiv:1607.01719): $L = |C_s - C_t|_F^2 / (4 d^2)$.

    $C_s$ and $C_t$ are the covariances of the $d$ features. The paper aligns the outputs of the last layer. It
    recommends a constant weight with which both losses are equally large at the end of training. Such a weight is large
    because of the division by $d^2$. It is near 100 for the 64 features of `digits_cnn`.

    Args:
        weight: see `Term`.
        variant: `paper` or `with_mean`. The variant `with_mean` also aligns the means, and has no factor 1/4, as in
            TLLib and DomainBed. These libraries use it with a weight of 1.
        **term: see `Term`.
    """

    name: ClassVar = "coral"
    streams: ClassVar = frozenset({SOURCE, UNLABELLED})

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 100.0,
        variant: Literal["paper", "with_mean"] = "paper",
        **term: Any,
    ) -> None:
        super().__init__(weight=weight, **term)
        self.variant = variant

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the distance between the covariances."""
        source, target = outputs[SOURCE], outputs[UNLABELLED]
        for stream in (source, target):
            stream.require_rows(2, "terms: coral")
        return CORAL[self.variant](source.features, target.features)


class MMDTerm(Term):
    r"""Maximum mean discrepancy, as in the deep adaptation network DAN (Long et al., 2015, arXiv:1502.02791).

    The loss is $L = \mathrm{MMD}^2_k(f_s, f_t)$. The kernel is the sum of five Gaussians, whose bandwidths are computed
    from the data. The paper aligns several layers and learns the weights of the kernels. Here, as in the authors' code
    for PyTorch (thuml/Xlearn, `pytorch/src/loss.py` and `train.py`), only the features are aligned, all kernels have
    the same weight, the estimator is the unbiased one, and the loss has a constant weight of 1.

    Args:
        estimator: `unbiased` (all pairs of different samples), `biased` (never negative) or `linear` (as in the
            papers of DAN and JAN; it compares disjoint pairs and has more noise).
        **term: see `Term`.
    """

    name: ClassVar = "mmd"
    streams: ClassVar = frozenset({SOURCE, UNLABELLED})

    def __init__(self, estimator: Estimator = "unbiased", **term: Any) -> None:
        super().__init__(**term)
        self.estimator: Estimator = estimator

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the squared discrepancy between the two batches."""
        source, target = outputs[SOURCE], outputs[UNLABELLED]
        rows, target_rows = len(source.features), len(target.features)
        if self.estimator == "linear" and rows != target_rows:
            raise LandbridgeError(
                f"terms: {self.name} with estimator=linear compares batches of equal size, but {SOURCE} has {rows} "
                f"samples and {UNLABELLED} {target_rows}: set data.batch_size to the smaller number and "
                "data.unlabelled_batch_size to null, or set estimator=unbiased"
            )
        if self.estimator != "biased":
            for stream in (source, target):
                stream.require_rows(2, f"terms: {self.name} with estimator={self.estimator}")
        return self.distance(source, target)

    def distance(self, source: Output, target: Output) -> Tensor:
        """Return the squared discrepancy, a scalar."""
        return mmd2(source.features, target.features, estimator=self.estimator)


class JointMMDTerm(MMDTerm):
    r"""Joint maximum mean discrepancy, as in the joint adaptation network JAN (Long et al., 2017, arXiv:1605.06636).

    The loss is $L = \mathrm{MMD}^2_{k_f k_p}\bigl((f_s, p_s), (f_t, p_t)\bigr)$. The kernel of two samples is a
    product. The first factor is the kernel of `MMDTerm` on their features. The second factor is one Gaussian,
    $2 \sigma^2 = 1.68$, on their class probabilities. The kernels, the unbiased estimator and the constant weight of 1
    are those of the authors' code for PyTorch (thuml/Xlearn, `pytorch/src/loss.py` and `train.py`). The paper estimates
    the discrepancy in linear time, `estimator=linear`. The paper's adversarial variant JAN-A is not implemented.

    Args:
        estimator: see `MMDTerm`.
        **term: see `Term`.
    """

    name: ClassVar = "joint_mmd"
    needs: ClassVar = frozenset({ONE_CLASS})
    separate_heads: ClassVar = False

    def distance(self, source: Output, target: Output) -> Tensor:
        """Return the squared discrepancy of the joint distributions of features and predictions, a scalar."""
        probabilities = [softmax(stream.logits, dim=1) for stream in (source, target)]
        layers = [(source.features, target.features), (probabilities[0], probabilities[1])]
        return joint_mmd2(layers, estimator=self.estimator, sigma2=(None, (PROBABILITIES_SIGMA2,)))


class SWDTerm(Term):
    r"""Sliced Wasserstein distances between domains and between classes (Gabourie et al., 2019, arXiv:1907.02271).

    The loss is

    $$w\,\mathrm{SW}_2^2(f_s, f_t) + \eta \sum_k \mathrm{SW}_2^2\bigl(f_s \mid y = k,\; f_t \mid \hat y = k,\ \max p >
    \tau\bigr)$$

    along random directions, which are drawn in each step. The second part uses pseudo-labels $\hat y$. It begins after
    a warm-up, because the pseudo-labels of an untrained classifier are noise. Pseudo-labels have no gradient.
    `strategy=swd` sets `class_weight=1` and `ramp=dann`; the paper has no ramp. Distances are not divided by the number
    of features. This is not the sliced Wasserstein *discrepancy* of Lee et al. (arXiv:1903.04064), which compares two
    classifiers.

    Args:
        class_weight: weight of the sum over classes, $\eta$. With 0 the sum is not computed.
        threshold: least confidence of a pseudo-label that is used, $\tau$.
        warm_up: share of the training before pseudo-labels are used, in [0, 1].
        directions: number of directions that are drawn in a step.
        **term: see `Term`. `weight` is that of the distance between the domains, $w$.
    """

    name: ClassVar = "swd"
    streams: ClassVar = frozenset({SOURCE, UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    separate_heads: ClassVar = False
    takes_mixed_labels: ClassVar = False

    def __init__(
        self,
        class_weight: Annotated[float, Ge(0)] = 0.0,
        threshold: Share = 0.95,
        warm_up: Share = 0.2,
        directions: Annotated[int, Gt(0)] = 64,
        **term: Any,
    ) -> None:
        super().__init__(**term)
        self.class_weight = class_weight
        self.threshold = threshold
        self.warm_up = warm_up
        self.directions = directions

    def losses(self, outputs: Mapping[str, Output], training: Training) -> dict[str, Tensor]:
        """Return the weighted distance between the domains and, if `class_weight` is not 0, that between classes."""
        source, target, rise = outputs[SOURCE], outputs[UNLABELLED], self.rise(training.progress)
        x, y = source.features, target.features
        directions = random_directions(self.directions, x.shape[1], device=x.device, dtype=x.dtype)
        losses = {self.name: rise * self.weight * sliced_wasserstein2(x, y, directions)}
        if self.class_weight:
            by_class = self._by_class(source, target, directions, training.progress)
            losses[f"{self.name}_classes"] = rise * self.class_weight * by_class
        return losses

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the distance between the domains, without the sum over classes."""
        x, y = outputs[SOURCE].features, outputs[UNLABELLED].features
        directions = random_directions(self.directions, x.shape[1], device=x.device, dtype=x.dtype)
        return sliced_wasserstein2(x, y, directions)

    def _by_class(self, source: Output, target: Output, directions: Tensor, progress: float) -> Tensor:
        if progress < self.warm_up:
            return source.features.new_zeros(())
        confidence, pseudo = softmax(target.logits.detach(), dim=1).max(dim=1)
        return class_conditional_sliced_wasserstein2(
            source.features,
            source.y,
            target.features,
            pseudo,
            confidence,
            self.threshold,
            target.logits.shape[1],
            directions,
        )


class DeepJDOTTerm(Term):
    r"""Deep joint distribution optimal transport (Damodaran et al., 2018, arXiv:1803.10081).

    The loss is $L = \langle \gamma^\star, C \rangle$ with $C_{ij} = \alpha |f^s_i - f^t_j|^2 +
    \lambda\,\mathrm{CE}(y_i, p_j)$, where $\gamma^\star$ is an exact optimal transport plan between the two batches.
    The plan has no gradient. A target sample is trained on the labels of the source samples that the plan assigns to
    it. As in the authors' code, the cost that the plan minimises contains the squared distance between label and
    prediction, $|y_i - p_j|^2$, in place of the cross-entropy.

    The weights are those of the authors' script for SVHN and MNIST (bbdamodaran/deepJDOT, `deepjdot_svhn_mnist.py`),
    where the source's cross-entropy has weight 1, as here. The script starts from a source model, and draws source
    batches of 500 with 50 samples of each class. Here training starts from `start`, and batches are of
    `data.batch_size` and not balanced. Small batches bias the plan. Each step waits for the solver, which runs on the
    CPU.

    Args:
        alpha: weight of the feature distance, $\alpha$. Results are sensitive to this value.
        label_weight: weight of the label cost, $\lambda$.
        plan: label cost of the plan: `squared` (the authors' code) or `cross_entropy` (the paper: the plan minimises
            the loss itself).
        **term: see `Term`.

    Raises:
        LandbridgeError: the package POT, which contains the solver, is not installed.
    """

    name: ClassVar = "deepjdot"
    streams: ClassVar = frozenset({SOURCE, UNLABELLED})
    needs: ClassVar = frozenset({ONE_CLASS})
    separate_heads: ClassVar = False
    takes_mixed_labels: ClassVar = False

    def __init__(
        self,
        alpha: Annotated[float, Ge(0)] = 1e-3,
        label_weight: Annotated[float, Ge(0)] = 1e-4,
        plan: Plan = "squared",
        **term: Any,
    ) -> None:
        if find_spec("ot") is None:
            raise LandbridgeError("terms: deepjdot needs the package POT: pip install 'landbridge[transport]'")
        super().__init__(**term)
        self.alpha = alpha
        self.label_weight = label_weight
        self.plan: Plan = plan

    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the cost of the transport from source samples to target samples."""
        source, target = outputs[SOURCE], outputs[UNLABELLED]
        features = source.features, target.features
        return deepjdot(*features, source.y, target.logits, self.alpha, self.label_weight, self.plan)
