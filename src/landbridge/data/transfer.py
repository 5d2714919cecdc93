"""The LightningDataModule of a transfer: just the streams that a strategy needs, and no label beyond the budget."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from landbridge.data.activations import Activations, KnownViews
from landbridge.data.augment import VIEWS, Views
from landbridge.data.domain import Domain
from landbridge.data.inputs import Inputs, InputSpec
from landbridge.data.labels import Budget
from landbridge.data.streams import Batch, InOrder, Joint, Order, Stream, labelled
from landbridge.errors import LandbridgeError


class TransferData(LightningDataModule):
    """The streams of one transfer.

    An epoch is one pass over the target's training split, labelled or not. It is therefore the same number of steps
    for every strategy and every `target_labels`, and comparisons are made at an equal budget.

    Args:
        source: the source domain; None where no stream needs it.
        target: the target domain.
        streams: names of the training streams to build.
        target_labels: how many target labels may be seen: 0, a number per class, or `all`. It holds for the training
            split and, as far as that has so many, for the validation split.
        input: what the backbone wants; None for vectors.
        seed: of the order of samples and of the choice of labelled ones.
        batch_size: samples per stream, step and process.
        eval_batch_size: samples per step in evaluation.
        steps_per_epoch: overrides the length of an epoch.
        workers: processes that read samples. None: 2 where images have to be decoded, and 0 for anything else, where it
            is fastest.

    Raises:
        LandbridgeError: a class has fewer samples than labels are
            asked for, or images meet a backbone for vectors (or the reverse).
    """

    def __init__(
        self,
        source: Domain | None,
        target: Domain,
        streams: frozenset[str],
        target_labels: Budget,
        input: InputSpec | None,
        seed: int,
        batch_size: Annotated[int, Gt(0)] = 64,
        eval_batch_size: Annotated[int, Gt(0)] = 256,
        steps_per_epoch: Annotated[int, Gt(0)] | None = None,
        workers: Annotated[int, Ge(0)] | None = None,
    ) -> None:
        super().__init__()
        self.spec = input
        self.seed = seed
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.classes = target.classes
        self.target_labels = target_labels
        #: How many processes train side by side; each reads its own part of a global batch.
        self.processes = 1
        #: How many epochs read training samples; in later ones, batches are empty. None: all.
        self.reading_epochs: int | None = None
        self.target_size = len(target.splits["train"].inputs)
        self._steps_per_epoch = steps_per_epoch
        # What is built here is all that training holds: inputs, and those labels that the setting shows.
        domains = {"source": source, "target": target} if source else {"target": target}
        for domain in domains.values():
            _require_kind(domain, input)
        train, val = ({role: domain.splits[split] for role, domain in domains.items()} for split in ("train", "val"))
        build = {
            "source": lambda: labelled(train["source"].inputs, input, train["source"].labels.visible("all", seed)),
            "target": lambda: labelled(
                train["target"].inputs, input, train["target"].labels.visible(target_labels, seed)
            ),
            "target_unlabelled": lambda: Stream(train["target"].inputs, input),
        }
        self.streams = {name: build[name]() for name in sorted(streams)}
        #: What is known of random views of a stream: training reads it in the place of the stream.
        self.known_views: dict[str, KnownViews] = {}
        #: How images of each stream can be augmented.
        self.views: dict[str, Views] = {
            name: VIEWS[domains[name.removesuffix("_unlabelled")].pictures] for name in self.streams
        }
        self.validation = {role: Stream(split.inputs, input) for role, split in val.items()}
        #: Labels of the validation samples, -1 where the setting hides them.
        self.validation_labels: dict[str, Tensor] = {
            role: split.labels.visible("all" if role == "source" else target_labels, seed, at_most=True)
            for role, split in val.items()
        }
        self.workers = workers
        #: Looks up activations of some inputs; None where they are not known.
        self.known: Callable[[Inputs], Activations | None] = _nothing_known

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, for each process."""
        return self._steps_per_epoch or math.ceil(self.target_size / (self.batch_size * self.processes))

    def read_known(
        self,
        training: Callable[[Inputs], Activations | None],
        validation: Callable[[Inputs], Activations | None],
    ) -> None:
        """Let streams read activations where they are known.

        Args:
            training: looks them up for a training stream.
            validation: looks them up for validation.
        """
        for streams, known in ((self.streams, training), (self.validation, validation)):
            for name, stream in streams.items():
                streams[name] = replace(stream, activations=known(stream.inputs))

    def train_dataloader(self) -> DataLoader[dict[str, Batch]]:
        """Batches of all training streams side by side: `{stream: {"x", "index"[, "y"]}}`."""
        sizes = {name: len(stream.inputs) for name, stream in self.streams.items()}
        rank = self.trainer.global_rank if self.trainer else 0
        draws = {name: views.draws for name, views in self.known_views.items()}
        order = Order(
            *(sizes, self.batch_size, self.steps_per_epoch, self.seed, rank, self.processes),
            epochs=self.reading_epochs,
            draws=draws,
        )
        streams = {name: replace(each, views=self.known_views.get(name)) for name, each in self.streams.items()}
        return self._loader(Joint(streams), streams.values(), order)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """The validation inputs of each domain, without labels, in the order of `validation`."""
        return [self.in_order(name, stream) for name, stream in self.validation.items()]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to the device that trains; on a CPU it is there already, and not searched for tensors."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def in_order(self, name: str, stream: Stream | None = None, batch_size: int | None = None) -> DataLoader[Any]:
        """One pass over a stream in the order of its samples, for evaluation.

        Args:
            name: what the batches are called.
            stream: its samples; None takes the training stream of that name.
            batch_size: samples per step; None takes `eval_batch_size`.
        """
        stream = stream or self.streams[name]
        return self._loader(InOrder(name, stream, batch_size or self.eval_batch_size), [stream])

    def _loader(self, dataset: Any, streams: Iterable[Stream], sampler: Any = None) -> DataLoader[Any]:
        workers = (2 if any(stream.in_files for stream in streams) else 0) if self.workers is None else self.workers
        # Batches are read whole by index, so there is nothing to collate. Loaders draw a seed whenever they start: the
        # generator of their own keeps that from moving the global one, on which initialisation and dropout depend.
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0 and sampler is not None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),
        )


def _nothing_known(inputs: Inputs) -> None:
    return None


def _require_kind(domain: Domain, spec: InputSpec | None) -> None:
    wants = "vector" if spec is None else "image"
    if domain.modality != wants:
        raise LandbridgeError(f"the backbone takes {wants} inputs, but domain {domain.name} holds {domain.modality}s")
