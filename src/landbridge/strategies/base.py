"""The base of all strategies. It encodes streams, and it sums and logs the terms of a loss."""

import operator
from abc import abstractmethod
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar

import torch
from pytorch_lightning.strategies import FSDPStrategy
from torch import Tensor

from landbridge.data.augment_policies import Change
from landbridge.data.streams import Batch
from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network, Units
from landbridge.record import Record
from landbridge.strategies.initial_model import InitialModel
from landbridge.strategies.reach import require_reach
from landbridge.strategies.requirements import Requirements
from landbridge.strategies.terms import Term, TermSettings, Training
from landbridge.tasks import Classification, Task
from landbridge.training.augmented import augmented
from landbridge.training.freezing import Depth
from landbridge.training.output import Output
from landbridge.training.processes import gathered, mean_over_processes
from landbridge.training.trainable import Trainable

# Reading the value of a loss makes the CPU wait for the GPU, so values are checked only once in this many steps.
STEPS_BETWEEN_CHECKS = 50


def _with_plus(added: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"+{name}": value for parts in added.values() for name, value in parts.items()}


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of the terms of a loss. There must be at least one term."""
    return reduce(operator.add, terms.values())


class Strategy(Trainable):
    """A transfer learning method: the streams that it needs, and its loss.

    Everything that a strategy learns is in parameters and buffers. So a run can be resumed, and can use several
    processes.

    Args:
        network: backbone and head.
        task: task of the target.
        source_task: task of the source, if the source has a head of its own; None: that of the target.
        terms: auxiliary losses that are added to the strategy's own loss; see `landbridge.strategies.terms`.
        gather: whether each of several processes computes the loss on the outputs of all processes. Then losses that
            compare samples with one another (an alignment, a class balance) read the global batch. Otherwise each
            process reads only its own part.
        **trainable: see `Trainable`.
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

    def __init__(
        self,
        network: Network,
        task: Task | None = None,
        source_task: Task | None = None,
        terms: TermSettings = None,
        gather: bool = False,
        **trainable: Any,
    ) -> None:
        if self.requirements.frozen_backbone:
            trainable["freeze"] = Depth("all", epochs=trainable["freeze"].epochs)
        super().__init__(network=network, trains_head=self.requirements.trains_head, **trainable)
        self.terms: dict[str, Term] = dict(terms or {})
        self.task = task or Classification(tuple(map(str, range(network.outputs))))
        self.source_task = source_task or self.task
        self.gather = gather
        if self.requirements.looks_back or any(term.looks_back for term in self.terms.values()):
            self.initial = InitialModel(network)
        self._totals: dict[str, Tensor] = {}
        self._batches_in_totals = 0
        #: Whether the next step measures which losses can change what is tested.
        self._measures_reach = False
        self.epoch_losses: dict[str, float] = {}
        #: Additional entries for the epoch in the record.
        self.note: dict[str, Any] = {}

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

    def load_auxiliary_state(self, state: Mapping[str, Tensor]) -> None:
        """Load auxiliary tensors, by name, that another strategy saved with the initial weights.

        These are the tensors of the strategy that trained the initial weights, without those of its network.
        """

    def supervised(self, *labelled: Output | None) -> Tensor:
        """Return the sum of the task's mean losses of labelled streams. Streams that are None are left out.

        Samples count with the weights of `task.class_weights`. A mixed image has the labels of two samples, and the
        loss is the mean of both losses, weighted by their shares. All losses on labels come from here, also those of a
        second head: `self.supervised(replace(stream, logits=...))`.
        """
        return reduce(operator.add, (self._mean_loss(stream) for stream in labelled if stream))

    def _mean_loss(self, labelled: Output) -> Tensor:
        task, units = self.task, self.network.units
        if self.network.source is not None and labelled.stream == "source":
            task, units = self.source_task, self.network.source.units
        scale = units.scale if units else None
        if labelled.mixed_labels is None:
            return task.loss(labelled.logits, labelled.y, scale, labelled.weights)
        both = (task.loss(labelled.logits, y, scale, weights) for y, weights in labelled.mixed_labels)
        return reduce(operator.add, both)

    def on_train_start(self) -> None:
        """Give the network the units of the labels that training may see, unless its weights came with units.

        The first step in which all stages train that ever train also measures which losses can change what is tested.
        Weights that FSDP keeps in parts cannot be told apart, so nothing is measured with FSDP.
        """
        super().on_train_start()
        self._measures_reach = not isinstance(self.trainer.strategy, FSDPStrategy)
        source = self.network.source
        if not (self.task.has_units or self.source_task.has_units):
            return
        seen = {name: each.labels for name, each in self.data.streams.training.items() if each.labels is not None}
        if source is not None and "source" in seen:
            _set_units(source.units, self.source_task, [seen.pop("source")])
        _set_units(self.network.units, self.task, list(seen.values()))

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the names of the outputs into the checkpoint, so that no other classes take over its head."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["classes"] = list(self.task.names)

    def count_step(self, terms: Mapping[str, Tensor]) -> None:
        """Add the loss terms of a finished step to the epoch's sums, and count one batch.

        A step counts as one batch even if several optimizers took a step in it.
        """
        self.batches_seen += 1
        # Sums stay on the device. Lightning's `log` takes longer than the forward pass of a small network.
        for name, value in terms.items():
            value = value.detach()
            self._totals[name] = self._totals[name] + value if name in self._totals else value
        self._batches_in_totals += 1
        if self.batches_seen % STEPS_BETWEEN_CHECKS == 0:
            self._require_finite(mean_over_processes(self._totals, self))

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
        totals = mean_over_processes(self._totals, self)
        self._require_finite(totals)
        self.epoch_losses = {name: float(value) / self._batches_in_totals for name, value in totals.items()}
        self.log_dict({f"train/{name}": value for name, value in self.epoch_losses.items()})
        self._totals, self._batches_in_totals = {}, 0

    def _require_finite(self, totals: Mapping[str, Tensor]) -> None:
        broken = [name for name, value in totals.items() if not torch.isfinite(value)]
        if broken:
            terms = f"the loss terms {' and '.join(broken)} are" if len(broken) > 1 else f"the loss term {broken[0]} is"
            raise LandbridgeError(
                f"training diverged by step {self.batches_seen}: {terms} not finite in {type(self).__name__}; "
                "a lower optimizer.lr may help"
            )


def _set_units(units: Units | None, task: Task, labels: list[Tensor]) -> None:
    if units is not None and not bool(units.are_set) and labels and (found := task.units(torch.cat(labels))):
        units.set(*found)
