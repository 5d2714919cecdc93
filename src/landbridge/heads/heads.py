"""Heads for one output vector a sample."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn.functional import linear, normalize
from torch.nn.utils.parametrizations import weight_norm

from landbridge.errors import LandbridgeError


class Linear(nn.Linear):
    """A linear head: $W f + b$.

    Args:
        features: width of the features.
        outputs: width of the output.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, outputs)


class Cosine(nn.Linear):
    r"""A linear head without bias on features of length 1: $\frac1T W \frac{f}{|f|}$.

    The rows of $W$ are prototypes of the classes. Their length is free, as in MME (Saito et al., 2019).

    Args:
        features: width of the features.
        outputs: width of the output.
        temperature: $T$.
    """

    def __init__(self, features: int, outputs: int, temperature: Annotated[float, Gt(0)] = 0.05) -> None:
        super().__init__(features, outputs, bias=False)
        self.temperature = temperature

    def forward(self, input: Tensor) -> Tensor:
        """Return outputs (b, outputs) of features (b, features)."""
        return linear(normalize(input, dim=1), self.weight) / self.temperature


class WeightNorm(nn.Linear):
    """A linear head whose rows are a length times a direction (Salimans & Kingma, 2016, arXiv:1602.07868).

    Args:
        features: width of the features.
        outputs: width of the output.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, outputs)
        weight_norm(self)


class MLP(nn.Sequential):
    """Hidden layers with ReLU, and a linear layer.

    Args:
        features: width of the features.
        outputs: width of the output.
        widths: of the hidden layers.
        dropout: share of the inputs of every linear layer that training sets to 0.
        batch_norm: whether BatchNorm follows every hidden linear layer.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        widths: Sequence[Annotated[int, Gt(0)]] = (256,),
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        batch_norm: bool = False,
    ) -> None:
        drop: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
        layers: list[nn.Module] = []
        for before, after in pairwise([features, *widths]):
            norm = [nn.BatchNorm1d(after)] if batch_norm else []
            layers += [*drop, nn.Linear(before, after), *norm, nn.ReLU(inplace=True)]
        super().__init__(*layers, *drop, nn.Linear([features, *widths][-1], outputs))


def require_linear(head: nn.Module, strategy: Any) -> nn.Linear:
    """Return a plain linear head, or refuse another kind.

    Args:
        head: of a network.
        strategy: that reads or sets its weights.

    Raises:
        LandbridgeError: the head is of another kind.
    """
    if not isinstance(head, nn.Linear) or type(head) not in (nn.Linear, Linear):
        # torch renames the class of a module with a parametrised weight.
        kind = type(head).__name__.removeprefix("Parametrized")
        raise LandbridgeError(
            f"strategy {type(strategy).__name__} sets the weights of a linear head, and this network has {kind}: "
            "use head=linear"
        )
    return head
