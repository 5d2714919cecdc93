"""The base of strategies that find what they look for in one go, without gradient steps."""

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
    """A strategy that is done after one epoch, at whose start it solves its problem.

    Args:
        **base: see `Strategy`.

    Raises:
        LandbridgeError: terms are configured, which act through gradients.
    """

    requirements: ClassVar = Requirements(
        streams=set(), can_be_averaged=False, no_terms_because="it takes no gradient steps"
    )

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.automatic_optimization = False

    @abstractmethod
    def solve(self) -> None:
        """Set parameters and buffers: a function of weights and samples, whatever was there before."""

    def validation_outputs(self) -> Output:
        """Encode the target's validation inputs in the order of the split, in evaluation mode."""
        return self.encode_whole("target", self.data.streams.validation["target"])

    def visible_validation_labels(self, why: str) -> Tensor:
        """Return the target's validation labels, with those hidden that the setting hides.

        Args:
            why: what needs them, for the message.

        Raises:
            LandbridgeError: the setting hides all of them.
        """
        labels = self.data.streams.validation_labels["target"]
        if not bool(shown(labels).any()):
            raise LandbridgeError(
                f"strategy {type(self).__name__} looks at target validation labels, which this setting does not show: "
                f"set target_labels to a number per class or to all ({why})"
            )
        return labels

    def loss(self, **streams: Any) -> dict[str, Tensor]:
        """Nothing is minimised."""
        return {}

    def configure_optimizers(self) -> list[Any]:
        """Nothing is learned by gradient."""
        return []

    def parameter_counts(self) -> tuple[int, int]:
        """No parameter trains."""
        return super().parameter_counts()[0], 0

    def on_train_start(self) -> None:
        """Have nothing left to do where a run goes on after its one epoch."""
        super().on_train_start()
        self.trainer.should_stop = self.batches_seen > 0

    def on_train_epoch_start(self) -> None:
        """Solve the problem."""
        super().on_train_epoch_start()
        self.eval()
        self.solve()
        self.train()

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> None:
        """Count the step: all has been done at the start of the epoch."""
        self.count_step({})

    def on_train_epoch_end(self) -> None:
        """End training: another epoch would find the same."""
        super().on_train_epoch_end()
        self.trainer.should_stop = True
