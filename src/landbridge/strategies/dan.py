"""Deep adaptation network: alignment by maximum mean discrepancy."""

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.losses import mmd2
from landbridge.losses.mmd import Estimator
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class DAN(Strategy):
    r"""Deep adaptation network (Long et al., 2015, arXiv:1502.02791).

    $\mathrm{CE}(g_s, y_s) + w\,\mathrm{MMD}^2_k(f_s, f_t)$, with a kernel that is the sum of five Gaussians whose
    bandwidths follow the data. The paper aligns several layers and learns the kernels' weights; here, as in TLLib, the
    features are aligned and the kernels weigh alike. The weight is constant. Visible target labels, where there are
    any, join the cross-entropy.

    Args:
        weight: of the discrepancy, $w$.
        estimator: `biased` (never negative), `unbiased` (TLLib's, up to a constant) or `linear` (the paper's, which
            compares disjoint pairs and is noisier).
        **base: see `Strategy`.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(self, weight: Annotated[float, Ge(0)] = 1.0, estimator: Estimator = "unbiased", **base: Any) -> None:
        super().__init__(**base)
        self.weight = weight
        self.estimator: Estimator = estimator

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; bring the domains' features together."""
        rows, target_rows = len(source.features), len(target_unlabelled.features)
        if self.estimator == "linear" and rows != target_rows:
            raise LandbridgeError(
                f"strategy {type(self).__name__}: estimator=linear compares batches of equal size, but source has "
                f"{rows} samples and target_unlabelled {target_rows}: lower data.batch_size to the smaller number or "
                "set strategy.estimator=unbiased"
            )
        if self.estimator != "biased":
            for stream in (source, target_unlabelled):
                stream.require_rows(2, f"strategy {type(self).__name__} with estimator={self.estimator}")
        distance = self.distance(source, target_unlabelled)
        return {"classify": self.classify(source, target), "align": self.weight * distance}

    def distance(self, source: Output, target: Output) -> Tensor:
        """Return the squared discrepancy between two domains' batches, a scalar."""
        return mmd2(source.features, target.features, estimator=self.estimator)
