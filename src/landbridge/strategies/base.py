"""The base of all strategies. It encodes streams, and returns the terms of a loss."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from pytorch_lightning.strategies import FSDPStrategy
from torch import Tensor

from landbridge.data.augment_policies import Change
from landbridge.data.streams import Batch
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.record import Record
from landbridge.strategies.initial_model import InitialModel
from landbridge.strategies.loss_totals import LossTotals, total
from landbridge.strategies.on_labels import OnLabels
from landbridge.strategies.reach import require_reach
from landbridge.strategies.requirements import Requirements
from landbridge.strategies.terms import Term, TermSettings, Training
from landbridge.training.augmented import augmented
from landbridge.training.freezing import Depth
from landbridge.training.output import Output
from landbridge.training.processes import gathered

# Reading the value of a loss makes the CPU wait for the GPU, so values are checked only once in this many steps.
STEPS_BETWEEN_CHECKS = 50


def _with_plus(added: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"+{name}": value for parts in added.values() for name, value in parts.items()}


class Strategy(OnLabels):
    """A transfer learning method: the streams that it needs, and its loss.

    Everything that a strategy learns is in parameters and buffers. So a run can be resumed, and can use several
    processes.

    Args:
        network: backbone and head.
        terms: auxiliary losses that are added to the strategy's own loss; see `landbridge.strategies.terms`.
        gather: whether each of several processes computes the loss on the outputs of all processes. Then losses that
            compare samples with one another (an alignment, a class balance) read the global batch. Otherwise each
            process reads only its own part.
        **on_labels: see `OnLabels`.
    """

    #: What the strategy needs, and what it does to the network.
    requirements: ClassVar[Requirements]

    #: Size of a test batch, for a strategy that adapts to test batches. None means the batch size of the data.
    test_batch_size: int | None = None
    #: Seed of the random order of the test samples, for such a strategy. None means the order of the split.
    test_order_seed: int | None = None

    #: Prefixes of the names of the parameters that the test uses, directly or through a moving average.
    tested: ClassVar[tuple[str, ...]] = ("network.",)

    #: Number of epochs after the planned ones. In these epochs no training batch is read and no step is taken.
    further_epochs: int = 0

    initial: InitialModel

    def __init__(self, network: Network, terms: TermSettings = None, gather: bool = False, **on_labels: Any) -> None:
        if self.requirements.frozen_backbone:
            on_labels["freeze"] = Depth("all", epochs=on_labels["freeze"].epochs)
        super().__init__(network=network, trains_head=self.requirements.trains_head, **on_labels)
        self.terms: dict[str, Term] = dict(terms or {})
        self.gather = gather
        if self.requirements.looks_back or any(term.looks_back for term in self.terms.values()):
            self.initial = InitialModel(network)
        self.totals = LossTotals()
        #: Whether the next step measures which losses can change what is tested.
        self._measures_reach = False
        self.epoch_losses: dict[str, float] = {}
        #: Additional entries for the epoch in the record.
        self.note: dict[str, Any] = {}

    @property
    def trains_bottleneck(self) -> bool:
        """Whether the bottleneck may train: unless the strategy freezes the whole backbone."""
        return not self.requirements.frozen_backbone

    @classmethod
    def contents(cls, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return fingerprints of the files that the strategy's settings name, by a short description of the files."""
        return {}

    @classmethod
    def earlier_runs(cls, settings: Mapping[str, Any]) -> dict[Path, Record]:
        """Return the records of the runs whose weights the strategy reads, by their folders."""
        return {}

    @abstractmethod
    def loss(self, *args: Any, **streams: Any) -> dict[str, Tensor]:
        """Return the terms of the loss by name. Each is a scalar, and their sum is minimised.

        Args:
            *args: none. Subclasses have one named parameter for each stream.
            **streams: the `Output` of each stream in `requirements.streams`, and of each stream in
                `requirements.optional_streams` that the setting provides.
        """

    @cached_property
    def unchanging(self) -> frozenset[str]:
        """The names of the weights and buffers that no epoch changes: those of a backbone that is frozen throughout."""
        if self.trainable.ever or self.requirements.replaces_weights:
            return frozenset()
        return frozenset(f"network.backbone.{name}" for name in self.network.backbone.state_dict())

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Load auxiliary tensors, by name, that another strategy saved with the initial weights.

        These are the tensors of the strategy that trained the initial weights, without those of its network.
        """

    def on_train_start(self) -> None:
        """Let the first step measure which losses can change what is tested.

        This is the first step in which all stages train that ever train. Weights that FSDP keeps in parts cannot be
        told apart, so nothing is measured with FSDP.
        """
        super().on_train_start()
        self._measures_reach = not isinstance(self.trainer.strategy, FSDPStrategy)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment the labelled streams of a training batch, on the device; Lightning calls this for every batch."""
        data = self.data
        if not self.trainer.training or data is None or (augment := data.streams.augment) is None:
            return batch
        changes, numbers = data.streams.changes, (data.streams.seed, self.batches_seen, self.global_rank)
        return {
            name: augmented(name, each, changes.get(name), augment, *numbers) if "y" in each else each
            for name, each in batch.items()
        }

    def views_to_draw(self, streams: TransferStreams) -> dict[str, tuple[str, Change]]:
        """Return the random views that `cache.views` draws before training: by name, the stream and its change."""
        return {name: (name, change) for name, change in streams.changes.items()}

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode every stream of a batch. Strategies that train on augmented views add outputs under new names."""
        return {name: self.encode(name, stream) for name, stream in batch.items()}

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor | None:
        """Encode every stream, and return the sum of the loss terms.

        Strategies that alternate between several optimizers override this method.
        """
        terms = self.loss_terms(self.encode_streams(batch))
        self.count_step(terms)
        return total(terms)

    def loss_terms(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """Return the terms of the strategy's own loss and the configured auxiliary losses."""
        if self.gather:
            outputs = {name: gathered(output, self) for name, output in outputs.items()}
        own, added = self.losses(outputs)
        if self._measures_reach and self.stages_now == self.trainable.ever:
            self._measures_reach = False
            self.require_reach(own, added)
        return own | _with_plus(added)

    def losses(self, outputs: Mapping[str, Output]) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Return the terms of the strategy's own loss, and the weighted losses of each auxiliary loss."""
        # Distances and covariances are too inaccurate in half precision.
        with torch.autocast(self.device.type, enabled=False):
            streams_of_terms = {stream for term in self.terms.values() for stream in term.streams}
            only_for_terms = streams_of_terms - self.requirements.all_streams
            own = self.loss(**{name: output for name, output in outputs.items() if name not in only_for_terms})
            return own, self._losses_of_terms(outputs)

    def require_reach(self, own: Mapping[str, Tensor], added: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Refuse losses, as `losses` returns them, that cannot change what is tested; see `reach.require_reach`."""
        trained = [
            each for name, each in self.named_parameters() if each.requires_grad and name.startswith(self.tested)
        ]
        require_reach(type(self).__name__, own, added, trained, all_frozen=not self.trainable.ever)

    def added_terms(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """Return the weighted auxiliary losses by name. Their names begin with a plus sign."""
        return _with_plus(self._losses_of_terms(outputs))

    def _losses_of_terms(self, outputs: Mapping[str, Output]) -> dict[str, dict[str, Tensor]]:
        training = Training(self.network, self.progress, getattr(self, "initial", None))
        return {name: term.losses(outputs, training) for name, term in self.terms.items()}

    def configure_optimizers(self) -> Any:
        """Build the optimizers; see `Trainable`.

        Raises:
            LandbridgeError: an optimizer has a weight decay, and an auxiliary loss replaces it.
        """
        configured = super().configure_optimizers()
        every = configured if isinstance(configured, list) else [configured]
        decays = any(group.get("weight_decay") for each in every for group in each["optimizer"].param_groups)
        for name, term in self.terms.items():
            if decays and term.replaces_weight_decay:
                raise LandbridgeError(f"terms: {name} takes the place of weight decay: set optimizer.weight_decay=0")
        return configured

    def count_step(self, terms: Mapping[str, Tensor], steps: int = 1) -> None:
        """Add the loss terms of a finished step, or their sums over several, to those of the epoch; count the batches.

        A step counts as one batch even if several optimizers took a step in it.
        """
        self.batches_seen += steps
        self.totals.add(terms, steps)
        if self.batches_seen % STEPS_BETWEEN_CHECKS == 0:
            self.totals.require_finite(self, self.batches_seen)

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encode a batch of validation inputs, for the selection rules."""
        return self.encode(batch["stream"], batch)

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encode a batch of test inputs."""
        return self.encode(batch["stream"], batch)

    def collect(self, name: str) -> Output:
        """Encode a whole training stream in the order of its samples, and set training mode again."""
        output = self.encode_whole(name)
        self.train()
        return output

    def on_train_epoch_end(self) -> None:
        """Log the mean of each loss term over the epoch."""
        sums = self.totals.require_finite(self, self.batches_seen)
        self.epoch_losses = {name: float(value) / self.totals.steps for name, value in sums.items()}
        self.log_dict({f"train/{name}": value for name, value in self.epoch_losses.items()})
        self.totals = LossTotals()
