"""What a start is, and the one that loads nothing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from omegaconf import DictConfig
from torch import Tensor

from landbridge.data.domain import Domain
from landbridge.models.network import Network
from landbridge.models.start.loading import LoadReport
from landbridge.record import Record


class Start(ABC):
    """Sets a network's weights before the strategy runs."""

    #: Whether it brings a head that knows the classes already, and whether it looks at the source domain.
    brings_head: ClassVar[bool] = False
    needs_source: ClassVar[bool] = False
    #: Once applied: what the strategy that trained the loaded model kept beside its network, by name, and the
    #: classifier that the weights were trained with under `SOURCE_HEAD`, where there is one.
    auxiliary_state: Mapping[str, Tensor] = MappingProxyType({})

    def prepare(  # noqa: B027 -- most starts have nothing to prepare
        self, source: Domain | None, source_model: DictConfig | None, train: Callable[[DictConfig, Path], Record]
    ) -> None:
        """Do what must be done before the network is built.

        Args:
            source: the source domain; None unless the start `needs_source`.
            source_model: configuration of the run that trains the source model; None unless the start `needs_source`.
            train: runs a configuration in a folder.
        """

    def contents(self) -> dict[str, str]:
        """Return fingerprints of the files that the weights are read from, by what they are."""
        return {}

    def knows(self, domain: Mapping[str, Any], classes: Sequence[str]) -> bool:
        """Say whether the model that it brings is known to have learned these classes on a domain.

        Args:
            domain: its configuration.
            classes: in the order of the head.
        """
        return self.needs_source

    @abstractmethod
    def apply(self, network: Network) -> LoadReport | None:
        """Set the weights; return what was loaded, or None if nothing was to be."""


class Scratch(Start):
    """Keep the random initialisation."""

    def apply(self, network: Network) -> None:
        """Do nothing."""
