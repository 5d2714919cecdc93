"""DeepJDOT: optimal transport of features and labels together."""

from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.losses import deepjdot
from landbridge.strategies.base import Strategy
from landbridge.strategies.output import Output


class DeepJDOT(Strategy):
    r"""Deep joint distribution optimal transport (Damodaran et al., 2018, arXiv:1803.10081).

    $\mathrm{CE}(g_s, y_s) + \langle \gamma^\star, C \rangle$ with
    $C_{ij} = \alpha |f^s_i - f^t_j|^2 + \lambda\,\mathrm{CE}(y_i, p_j)$, where $\gamma^\star$ is the exact transport
    plan between the two batches under this cost, held fixed: a target sample learns the label of the source samples
    that are carried to it.

    The authors find the plan with the squared distance between labels and predictions in place of the cross-entropy,
    and draw source batches balanced over classes; here batches are as they come. The weights are those of their code's
    class, whose own default leaves the source's cross-entropy out; here it always counts once. Small batches bias the
    plan, and each step waits for the solver, which runs on the CPU. Visible target labels, where there are any, join
    the cross-entropy.

    Args:
        alpha: weight of the feature distance, $\alpha$; results are sensitive to it.
        label_weight: weight of the label cost, $\lambda$.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: POT, which has the solver, is not installed.
    """

    needs: ClassVar = frozenset({"source", "target_unlabelled"})
    optional: ClassVar = frozenset({"target"})

    def __init__(
        self, alpha: Annotated[float, Ge(0)] = 0.01, label_weight: Annotated[float, Ge(0)] = 1.0, **base: Any
    ) -> None:
        if find_spec("ot") is None:
            raise LandbridgeError("strategy DeepJDOT needs the package POT, which is not installed: pip install pot")
        super().__init__(**base)
        self.alpha = alpha
        self.label_weight = label_weight

    def loss(self, source: Output, target_unlabelled: Output, target: Output | None = None) -> dict[str, Tensor]:
        """Classify labelled samples; carry source samples to target samples at the least cost."""
        cost = deepjdot(
            source.features,
            target_unlabelled.features,
            source.y,
            target_unlabelled.logits,
            self.alpha,
            self.label_weight,
        )
        return {"classify": self.classify(source, target), "transport": cost}
