"""The base of terms: losses that are added to a strategy's own loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from landbridge.losses import dann_ramp
from landbridge.models.network import Network
from landbridge.strategies.initial_model import InitialModel
from landbridge.strategies.requirements import ALL_TASKS
from landbridge.training.output import Output

#: How a weight changes over training: `constant`, or `dann`, which rises from 0 to 1 (`landbridge.losses.dann_ramp`).
Ramp = Literal["constant", "dann"]

SOURCE, TARGET, UNLABELLED = "source", "target", "target_unlabelled"


@dataclass(frozen=True)
class Training:
    """The state of training that a term may read beside the outputs of streams.

    Attributes:
        network: backbone and head.
        progress: share of the planned batches that are done, in [0, 1].
        initial: the network before training; None unless a term `looks_back`.
    """

    network: Network
    progress: float
    initial: InitialModel | None = None


class Term(ABC):
    r"""An auxiliary loss $L$: it adds $\lambda(t)\,w\,L$ to a strategy's own loss.

    Args:
        weight: $w$.
        ramp: $\lambda(t)$: `constant` is 1; `dann` is $2 / (1 + e^{-10t}) - 1$, for losses on predictions that are
            noise at the start of training.
    """

    #: Its name in `terms=[...]` and, with a plus sign before it, among the losses of a record.
    name: ClassVar[str]
    #: The training streams that it reads.
    streams: ClassVar[frozenset[str]] = frozenset()
    #: Kinds of tasks that it can serve.
    tasks: ClassVar[Set[str]] = ALL_TASKS
    #: Names of the selection rules that score the same quantity.
    biased_rules: ClassVar[frozenset[str]] = frozenset()
    #: Whether it reads the network as it was before training.
    looks_back: ClassVar[bool] = False
    #: Whether it takes the place of the optimizer's weight decay, which must then be 0.
    replaces_weight_decay: ClassVar[bool] = False

    def __init__(self, weight: Annotated[float, Ge(0)] = 1.0, ramp: Ramp = "constant") -> None:
        self.weight = weight
        self.ramp = ramp

    def rise(self, progress: float) -> float:
        r"""Return $\lambda(t)$, in [0, 1]."""
        return dann_ramp(progress) if self.ramp == "dann" else 1.0

    def losses(self, outputs: Mapping[str, Output], training: Training) -> dict[str, Tensor]:
        """Return the weighted loss by name; a term of several parts returns each of them."""
        return {self.name: self.rise(training.progress) * self.weight * self.value(outputs, training)}

    @abstractmethod
    def value(self, outputs: Mapping[str, Output], training: Training) -> Tensor:
        """Return the loss without its weight, a scalar.

        Args:
            outputs: by stream; those in `streams` are there.
            training: the state of training.
        """
