"""The LightningDataModule of a transfer: it reads the streams of training and validation in batches."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from landbridge.data.orders import Sampling
from landbridge.data.streams import Batch, JointBatches, OrderedBatches, Stream, StreamIndices
from landbridge.data.transfer_streams import TransferStreams

#: More than these are a slip of the keyboard: such an epoch would last for days, and so many processes fill the memory.
MOST_STEPS, MOST_WORKERS = 10**7, 512


class TransferData(LightningDataModule):
    """Reads the streams of one transfer in batches.

    An epoch is one pass over the target's training split, with or without labels. It therefore has the same number of
    steps for every strategy and every `target_labels`, and strategies are compared at an equal budget.

    Args:
        streams: the streams of the transfer.
        processes: number of processes that train together; each reads its own part of a global batch.
        reading_epochs: number of epochs that read training samples; batches of later epochs are empty. None: all epochs
            read samples.
        batch_size: samples per stream, step and process.
        unlabelled_batch_size: the same for the stream of unlabelled target samples. None: `batch_size`. The authors of
            AdaMatch read three times as many unlabelled samples as labelled ones, those of FixMatch seven times.
        eval_batch_size: samples per step in evaluation.
        steps_per_epoch: steps in an epoch; None takes one pass over the target's training split.
        sampler: how training reads the labelled streams. `shuffled` reads every sample once a pass. `balanced` reads
            all classes equally often (`landbridge.data.orders.Balanced`), from the visible labels alone. Streams
            without labels are always shuffled.
        workers: processes that read samples. None: 2 if images must be decoded from files or texts tokenised, and 0
            otherwise, where 0 is fastest.
    """

    def __init__(
        self,
        streams: TransferStreams,
        processes: int = 1,
        reading_epochs: int | None = None,
        batch_size: Annotated[int, Gt(0)] = 64,
        unlabelled_batch_size: Annotated[int, Gt(0)] | None = None,
        eval_batch_size: Annotated[int, Gt(0)] = 256,
        steps_per_epoch: Annotated[int, Gt(0), Le(MOST_STEPS)] | None = None,
        sampler: Sampling = "shuffled",
        workers: Annotated[int, Ge(0), Le(MOST_WORKERS)] | None = None,
    ) -> None:
        super().__init__()
        self.streams = streams
        self.processes = processes
        self.reading_epochs = reading_epochs
        self.batch_size = batch_size
        self.unlabelled_batch_size = unlabelled_batch_size
        self.eval_batch_size = eval_batch_size
        self.sampler = sampler
        self.workers = workers
        one_pass = math.ceil(streams.target_size / (batch_size * processes))
        #: Steps in an epoch, in each process.
        self.steps_per_epoch = steps_per_epoch or one_pass

    def batch_size_of(self, stream: str) -> int:
        """Return the number of samples of a training stream that a process reads in a step."""
        own = self.unlabelled_batch_size if stream == "target_unlabelled" else None
        return own or self.batch_size

    def train_dataloader(self) -> DataLoader[dict[str, Batch]]:
        """Return a loader of joint batches of all training streams: `{stream: {"x", "index"[, "y"]}}`."""
        training, views = self.streams.training, self.streams.cached_views
        indices = StreamIndices(
            sizes={name: len(stream.inputs) for name, stream in training.items()},
            batch_size=self.batch_size,
            other_batch_sizes={name: self.batch_size_of(name) for name in training},
            steps=self.steps_per_epoch,
            seed=self.streams.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world=self.processes,
            epochs=self.reading_epochs,
            draws={name: each.draws for name, each in views.items()},
            classes=self.streams.classes() if self.sampler == "balanced" else {},
            next_epoch=self._next_epoch,
        )
        streams = {name: replace(each, views=views.get(name)) for name, each in training.items()}
        return self._loader(JointBatches(streams), streams.values(), indices)

    def _next_epoch(self) -> int:
        """Return the number of the epoch that is read next, also when a resumed run has only restored its progress.

        `Trainer.current_epoch` is one epoch behind until the first epoch after a resume begins.
        """
        if self.trainer is None:
            return 0
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        return progress.processed

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Return loaders of validation inputs, without labels, in the order of `TransferStreams.validation`."""
        return [self.in_order(name, stream) for name, stream in self.streams.validation.items()]

    def in_order(self, name: str, stream: Stream | None = None, batch_size: int | None = None) -> DataLoader[Any]:
        """Return a loader that reads a stream once, in the order of its samples, for evaluation.

        Args:
            name: name of the stream, which is in every batch.
            stream: the samples; None takes the training stream of that name.
            batch_size: samples per step; None takes `eval_batch_size`.
        """
        stream = stream or self.streams.training[name]
        return self._loader(OrderedBatches(name, stream, batch_size or self.eval_batch_size), [stream])

    def _loader(self, dataset: Any, streams: Iterable[Stream], sampler: Any = None) -> DataLoader[Any]:
        workers = (
            (2 if any(stream.must_be_decoded for stream in streams) else 0) if self.workers is None else self.workers
        )
        # Batches are read whole by index, so no collation is needed. A loader draws a seed whenever it starts. It uses
        # its own generator for this, because initialisation and dropout depend on the global generator.
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0 and sampler is not None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.streams.seed),
        )
