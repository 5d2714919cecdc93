"""The layer between backbone and head that makes the features narrower."""

from typing import Annotated

from annotated_types import Ge, Gt, Lt
from torch import nn


class Bottleneck(nn.Sequential):
    """A linear layer to fewer features, optionally with BatchNorm, ReLU and dropout.

    Its outputs are the features of the network: the head reads them, and adaptation methods align them. TLLib puts a
    linear layer with BatchNorm and ReLU behind a pretrained backbone (Jiang et al., 2022, arXiv:2201.05867), SHOT one
    with BatchNorm, and CDAN a plain one. All of them are 256 wide.

    A bottleneck of one's own derives from this class, and sets `width`.

    Args:
        features: width of the backbone's features.
        width: width of the output.
        batch_norm: whether BatchNorm follows the linear layer.
        relu: whether ReLU follows.
        dropout: share of the outputs that training sets to 0.
    """

    width: int

    def __init__(
        self,
        features: int,
        width: Annotated[int, Gt(0)] = 256,
        batch_norm: bool = True,
        relu: bool = True,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        layers: list[nn.Module] = [nn.Linear(features, width)]
        layers += [nn.BatchNorm1d(width)] if batch_norm else []
        layers += [nn.ReLU(inplace=True)] if relu else []
        layers += [nn.Dropout(dropout)] if dropout else []
        super().__init__(*layers)
        self.width = width
