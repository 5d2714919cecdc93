"""Fine-tuning that is pulled back to its start."""

from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from landbridge.errors import LandbridgeError
from landbridge.losses import l2_sp
from landbridge.strategies.output import Output
from landbridge.strategies.supervised import TargetOnly


class L2SP(TargetOnly):
    r"""Weight decay towards the starting point, L2-SP (Li et al., 2018, arXiv:1802.01483).

    $\mathrm{CE}(g_t, y_t) + \frac\alpha2 |w - w^0|^2 + \frac\beta2 |w_{head}|^2$ over the parameters of the backbone
    and of the head; BatchNorm statistics are not pulled. It takes the place of the optimizer's weight decay, which
    would pull the same parameters to zero. The term `l2_sp` adds the first part to any other strategy.

    Args:
        alpha: pull of the backbone towards its start.
        beta: pull of the head towards zero.
        **base: see `Strategy`.
    """

    start: Tensor

    def __init__(
        self, alpha: Annotated[float, Ge(0)] = 0.01, beta: Annotated[float, Ge(0)] = 0.01, **base: Any
    ) -> None:
        super().__init__(**base)
        self.alpha = alpha
        self.beta = beta
        self.register_buffer("start", parameters_to_vector(self.network.backbone.parameters()).detach().clone())

    def configure_optimizers(self) -> Any:
        """Build the optimizer.

        Raises:
            LandbridgeError: it has a weight decay of its own.
        """
        configured = super().configure_optimizers()
        if any(group.get("weight_decay") for group in configured["optimizer"].param_groups):
            raise LandbridgeError("strategy L2SP takes the place of weight decay: set optimizer.weight_decay=0")
        return configured

    def loss(self, target: Output) -> dict[str, Tensor]:
        """Classify target samples; pull the backbone to its start and the head to zero."""
        backbone, head = (
            parameters_to_vector(part.parameters()) for part in (self.network.backbone, self.network.head)
        )
        pull = l2_sp({"backbone": backbone, "head": head}, {"backbone": self.start}, self.alpha, self.beta)
        return super().loss(target) | {"pull": pull}
