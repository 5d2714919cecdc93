"""What a run can share with other runs in its process. By default it shares nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Trainer

from landbridge.config.check import check
from landbridge.data.domain import Domain
from landbridge.data.transfer import TransferData
from landbridge.models.network import Network
from landbridge.models.start import LoadReport, Start
from landbridge.run.clock import Clock
from landbridge.run.epochs import Epochs
from landbridge.strategies.base import Strategy

Initial = tuple[Network, LoadReport | None]


class Company:
    """The runs of one process. This class is a run alone: it opens, builds and trains everything itself.

    The runs of a pack (`landbridge.packs`) share domains and backbones, and train together.
    """

    def check(self, cfg: DictConfig) -> None:
        """Find the mistakes of a configuration; see `landbridge.config.check`."""
        check(cfg)

    def domains(self, cfg: DictConfig, opened: Callable[[], dict[str, Domain]]) -> dict[str, Domain]:
        """Return the domains of a run by role.

        Args:
            cfg: the checked configuration of the run.
            opened: opens them.
        """
        return opened()

    def initial(self, cfg: DictConfig, start: Start, build: Callable[[], Initial]) -> Initial:
        """Return the network of a run with its initial weights, and the report of what was loaded.

        Args:
            cfg: the checked configuration of the run.
            start: sets the initial weights.
            build: builds the network. It seeds the random generators, and the network takes numbers from them.
        """
        return build()

    def train(
        self,
        trainer: Trainer,
        strategy: Strategy,
        data: TransferData,
        checkpoint: Path | None,
        epochs: Epochs,
        clock: Clock,
    ) -> None:
        """Train the strategy of a run.

        Args:
            trainer: the trainer of the run, with its callbacks.
            strategy: the strategy to train.
            data: the streams, which read from the cache.
            checkpoint: the checkpoint to resume from.
            epochs: the callback of the trainer that scores epochs. It measures the seconds of each.
            clock: measures the seconds of the run.
        """
        trainer.fit(strategy, data, ckpt_path=checkpoint, weights_only=True)

    def report(self) -> dict[str, Any]:
        """Return a note about the other runs, for the record's cost."""
        return {}


#: A run that is alone in its process.
ALONE = Company()
