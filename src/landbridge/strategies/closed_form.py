"""The base of strategies that compute their solution at once, without gradient steps."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import shown
from landbridge.training.output import Output


class ClosedForm(Strategy):
    """A strategy that computes its solution at the start of the first epoch, and stops after this epoch.

    Args:
        **base: see `Strategy`.

    Raises:
        LandbridgeError: auxiliary losses or a tuning are configured. They need gradient steps.
    """

    requirements: ClassVar = Requirements(
        streams=set(),
        can_be_averaged=False,
        separate_heads=True,
        no_terms_because="it takes no gradient steps",
        balancing=frozenset(),
    )

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        if self.network.backbone.held:
            raise LandbridgeError(f"tuning: strategy {type(self).__name__} takes no gradient steps; use tuning=full")
        self.automatic_optimization = False

    @abstractmethod
    def solve(self) -> None:
        """Compute the solution, and write it into parameters and buffers.

        The solution depends on the initial weights and on the samples only.
        """

    def validation_outputs(self, role: str = "target") -> Output:
        """Encode the validation inputs of a domain in the order of the split, in evaluation mode."""
        return self.encode_whole(role, self.data.streams.validation[role])

    def visible_validation_labels(self, why: str, role: str = "target") -> Tensor:
        """Return the validation labels of a domain. A label that the setting hides is -1.

        Args:
            why: the purpose of the labels, for the message.
            role: `source` or `target`.

        Raises:
            LandbridgeError: the setting hides all validation labels.
        """
        labels = self.data.streams.validation_labels[role]
        if not bool(shown(labels).any()):
            raise LandbridgeError(
                f"strategy {type(self).__name__} reads {role} validation labels, but this setting hides all of them: "
                f"set target_labels to a number per class or to all ({why})"
            )
        return labels

    def loss(self, **streams: Any) -> dict[str, Tensor]:
        """Return no terms, because nothing is minimised."""
        return {}

    def configure_optimizers(self) -> list[Any]:
        """Return no optimizers, because no step is taken."""
        return []

    @property
    def steps_taken(self) -> int:
        """Return 0: the batches of its one epoch are counted, but no step is taken."""
        return 0

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of parameters, and 0, because no parameter trains."""
        return super().parameter_counts()[0], 0

    def setup(self, stage: str) -> None:
        """Mark parameters as trained, because DistributedDataParallel refuses a module without such parameters."""
        if stage == "fit":
            self.network.requires_grad_(True)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Return the batch as it is, because no step reads it."""
        return batch

    def on_train_start(self) -> None:
        """Stop at once if a resumed run has already finished its one epoch."""
        super().on_train_start()
        self.trainer.should_stop = self.batches_seen > 0

    def on_train_epoch_start(self) -> None:
        """Compute the solution in evaluation mode."""
        super().on_train_epoch_start()
        self.eval()
        self.solve()
        self.train()

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Count the step. The solution was computed at the start of the epoch."""
        self.count_step({})

    def on_train_epoch_end(self) -> None:
        """Stop training, because another epoch would compute the same solution."""
        super().on_train_epoch_end()
        self.trainer.should_stop = True
