"""The interface of a start, and the start that loads nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from omegaconf import DictConfig
from torch import Tensor

from landbridge.data.domain import Domain
from landbridge.models.network import Network
from landbridge.models.start.loading import LoadReport
from landbridge.record import Record


@dataclass(frozen=True)
class SourceModel:
    """The run that trains a source model.

    Attributes:
        config: its configuration.
        settings: the same with the defaults that the code adds.
        follows_freezing: whether it freezes stages, because the run freezes them.
    """

    config: DictConfig
    settings: dict[str, Any]
    follows_freezing: bool = False


class Start(ABC):
    """Sets the initial weights of a network before the strategy runs."""

    #: Whether the start loads weights, whether it loads a trained head, and whether it needs the source domain.
    brings_weights: ClassVar[bool] = True
    brings_head: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    #: Set by `apply`: the state that the earlier strategy kept in addition to its network, by name, and the classifier
    #: that the weights were trained with (under `SOURCE_HEAD`), if there is one.
    auxiliary_state: Mapping[str, Tensor] = MappingProxyType({})
    #: Set when the weights are known: the steps and passes that trained them, as entries of `cost` in a record.
    #: Empty if no run of landbridge trained them, or its record is not there.
    trained: Mapping[str, Any] = MappingProxyType({})
    #: Set by `apply`: why the head, or the bottleneck, was newly initialised.
    why_new_head: str = "the start brings no head"
    why_new_bottleneck: str = "the start brings no bottleneck"

    def prepare(  # noqa: B027 -- most starts have nothing to prepare
        self, source: Domain | None, source_model: SourceModel | None, train: Callable[[DictConfig, Path], Record]
    ) -> None:
        """Do all work that is needed before the network is built.

        Args:
            source: the source domain; None unless the start `needs_source`.
            source_model: the run that trains the source model; None unless the start `needs_source`.
            train: runs a configuration in a folder.
        """

    def contents(self) -> dict[str, str]:
        """Return fingerprints of the files that the weights are read from, by role."""
        return {}

    def earlier_runs(self) -> dict[Path, Record]:
        """Return the records of the runs that trained the weights, by their folders, if they are known."""
        return {}

    def knows(self, domain: Mapping[str, Any], classes: Sequence[str] | None) -> bool:
        """Return True only if the loaded model was certainly trained on a domain, with these classes.

        Args:
            domain: configuration of the domain.
            classes: class names in the order of the head; None if the head may have any.
        """
        return self.needs_source

    @abstractmethod
    def apply(self, network: Network, classes: Sequence[str] | None = None) -> LoadReport | None:
        """Set the weights. Return a report, or None if the start loads nothing.

        Args:
            network: the network to change.
            classes: names of its outputs. A head of other names is not loaded. None: only the shape counts.
        """


class Scratch(Start):
    """Keep the random initialisation."""

    brings_weights: ClassVar = False

    def apply(self, network: Network, classes: Sequence[str] | None = None) -> None:
        """Do nothing."""
        self.why_new_head = "start=scratch brings no head"
