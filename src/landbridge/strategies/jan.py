"""Joint adaptation network: alignment of features and predictions together."""

from typing import Any

from torch import Tensor
from torch.nn.functional import softmax

from landbridge.losses import joint_mmd2
from landbridge.losses.mmd import Estimator
from landbridge.strategies.dan import DAN
from landbridge.strategies.output import Output

# TLLib's bandwidth for class probabilities, whose distances have a known scale.
PROBABILITIES_SIGMA2 = 0.92**2


class JAN(DAN):
    r"""Joint adaptation network (Long et al., 2017, arXiv:1605.06636).

    $\mathrm{CE}(g_s, y_s) + w\,\mathrm{MMD}^2_{k_f k_p}\bigl((f_s, p_s), (f_t, p_t)\bigr)$: the kernel of two samples
    is the product of DAN's kernel on their features and of one Gaussian, $\sigma = 0.92$, on their class
    probabilities. The discrepancy is estimated in linear time, as in the paper, whose adversarial variant JAN-A is left
    out. The weight is constant. Visible target labels, where there are any, join the cross-entropy.

    Args:
        estimator: see `DAN`.
        **dan: see `DAN`; `weight` is that of the joint discrepancy.
    """

    def __init__(self, estimator: Estimator = "linear", **dan: Any) -> None:
        super().__init__(estimator=estimator, **dan)

    def distance(self, source: Output, target: Output) -> Tensor:
        """Return the squared discrepancy of the joint laws of features and predictions, a scalar."""
        probabilities = [softmax(stream.logits, dim=1) for stream in (source, target)]
        layers = [(source.features, target.features), (probabilities[0], probabilities[1])]
        return joint_mmd2(layers, estimator=self.estimator, sigma2=(None, (PROBABILITIES_SIGMA2,)))
