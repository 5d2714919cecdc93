"""The base of auxiliary losses, which are added to a strategy's own loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from landbridge.losses import dann_ramp
from landbridge.models.network import Network
from landbridge.strategies.initial_model import InitialModel
from landbridge.training.output import Output

#: The factor on a weight over training: `constant`; `dann`, which rises from 0 to 1 (`landbridge.losses.dann_ramp`); or
#: `linear`, which rises from 0 to 1 in a first part of the training.
Ramp = Literal["constant", "dann", "linear"]

#: The part of training in which the ramp `linear` rises: that of google-research/fixmatch, pseudo_label.py.
RISING = 0.4

SOURCE, TARGET, UNLABELLED = "source", "target", "target_unlabelled"


@dataclass(frozen=True)
class Training:
    """The state of training that an auxiliary loss may read, in addition to the outputs of streams.

    Attributes:
        network: backbone and head.
        progress: share of the planned batches that are done, in [0, 1].
        initial: the network before training. None, unless an auxiliary loss or the strategy sets `looks_back`.
    """

    network: Network
    progress: float
    initial: InitialModel | None = None


class Term(ABC):
    r"""An auxiliary loss $L$. It adds $\lambda(t)\,w\,L$ to a strategy's own loss.

    Args:
        weight: $w$.
        ramp: $\lambda(t)$: `constant` is 1; `dann` is $2 / (1 + e^{-10t}) - 1$; `linear` is $\min(1, t / 0.4)$. Use a
            rising one for losses on predictions that are noise at the start of training.
    """

    #: The name in `terms=[...]`. In the losses of a record it has a plus sign in front.
    name: ClassVar[str]
    #: Names of the training streams that it reads.
    streams: ClassVar[frozenset[str]] = frozenset()
    #: What a task must give in addition to a loss; see `Requirements.needs`.
    needs: ClassVar[Set[str]] = frozenset()
    #: Whether source and target may have different tasks, each with a head of its own.
    separate_heads: ClassVar[bool] = True
    #: Names of the selection rules that score the same quantity.
    biased_rules: ClassVar[frozenset[str]] = frozenset()
    #: Whether it reads the network before training, `Training.initial`.
    looks_back: ClassVar[bool] = False
    #: Whether it works on mixed images, which have the labels of two samples: it reads no label.
    takes_mixed_labels: ClassVar[bool] = True
    #: Whether it replaces the optimizer's weight decay, which must then be 0.
    replaces_weight_decay: ClassVar[bool] = False

    def __init__(self, weight: Annotated[float, Ge(0)] = 1.0, ramp: Ramp = "constant") -> None:
        self.weight = weight
        self.ramp = ramp

    def rise(self, progress: float) -> float:
        r"""Return $\lambda(t)$, in [0, 1]."""
        if self.ramp == "constant":
            return 1.0
        return dann_ramp(progress) if self.ramp == "dann" else min(1.0, progress / RISING)

    def losses(self, outputs: Mapping[str, Output], training: Training) -> dict[str, Tensor]:
        """Return the weighted loss by name. An auxiliary loss with several parts may return several entries."""
        return {self.name: self.rise(training.progress) * self.weight * self.value(outputs, training)}

    @abstractmethod
    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the loss without its weight, a scalar.

        Args:
            outputs: the outputs by stream, with at least the streams in `streams`.
            training: the state of training.
        """
