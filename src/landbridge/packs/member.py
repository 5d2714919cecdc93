"""One member of a pack: an ordinary run that shares what it opens, and trains its epochs with the others."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer
from torch import Tensor, nn

from landbridge.data.activations import Activation
from landbridge.data.domain import Domain
from landbridge.data.transfer import TransferData
from landbridge.models.start import Start
from landbridge.packs.epoch import Epoch, Samples
from landbridge.packs.features import Features, are_ready, read
from landbridge.packs.loop import PackedEpochLoop
from landbridge.packs.shared import Shared
from landbridge.packs.turns import Turn
from landbridge.run.clock import Clock
from landbridge.run.company import Company, Initial
from landbridge.run.epochs import Epochs
from landbridge.strategies.base import Strategy
from landbridge.training.norm_layers import BATCH_NORMS
from landbridge.training.output import Output

log = logging.getLogger(__name__)

#: Largest relative difference of a weight to that of the single run after one step. Later, rounding errors grow as
#: they do if the samples of every batch are read in another order.
TOLERANCE = 1e-6
#: Modules that do something else in training than in evaluation.
MODAL = (*BATCH_NORMS, nn.modules.dropout._DropoutNd)


class Member(Company):
    """A run in a pack.

    Args:
        shared: what all members share.
        turn: the thread of this run.
        position: its number in the pack.
        members: number of members.
    """

    def __init__(self, shared: Shared, turn: Turn, position: int, members: int) -> None:
        self.shared = shared
        self.turn = turn
        self.note = {"members": members, "position": position, "tolerance": TOLERANCE}
        self.packed = False

    def check(self, cfg: DictConfig) -> None:
        """Do nothing: a sweep checks all configurations before it plans packs."""

    def domains(self, cfg: DictConfig, opened: Callable[[], dict[str, Domain]]) -> dict[str, Domain]:
        """Return domains that are opened once for all members. Each member has its own list of opened labels."""
        return self.shared.domains(cfg, opened)

    def initial(self, cfg: DictConfig, start: Start, build: Callable[[], Initial]) -> Initial:
        """Return a network of its own with a backbone that members share."""
        return self.shared.initial(cfg, start, build)

    def train(
        self,
        trainer: Trainer,
        strategy: Strategy,
        data: TransferData,
        checkpoint: Path | None,
        epochs: Epochs,
        clock: Clock,
    ) -> None:
        """Train with the other members, or alone if the features are not in the cache."""
        if why := _why_alone(strategy, data):
            log.warning("this run trains alone in its pack: %s", why)
        else:
            self.packed = True
            trainer.fit_loop.epoch_loop = PackedEpochLoop(
                trainer, self._training(trainer, strategy, data, epochs, clock), _prediction(strategy, data), epochs
            )
        super().train(trainer, strategy, data, checkpoint, epochs, clock)

    def report(self) -> dict[str, Any]:
        """Return the note about the pack, if the run has trained with the others."""
        return {"pack": self.note} if self.packed else {}

    def _training(
        self, trainer: Trainer, strategy: Strategy, data: TransferData, epochs: Epochs, clock: Clock
    ) -> Callable[[int], Epoch]:
        order: Any = data.train_dataloader().sampler
        backbone = strategy.network.backbone
        features = self.shared.features(backbone)
        parameters = {name: each for name, each in strategy.named_parameters() if each.requires_grad}
        behind = [
            each for each in strategy.named_buffers() if not each[0].startswith(("network.backbone.", "initial."))
        ]
        rows = {name: features.add(stream, backbone) for name, stream in data.streams.training.items()}

        def train(number: int) -> Epoch:
            epoch = Epoch(
                strategy,
                trainer.optimizers[0],
                _samples(order.epoch(number), data, features, rows, strategy.device),
                parameters,
                dict(behind),
                (trainer.gradient_clip_val, trainer.gradient_clip_algorithm),
            )
            began = time.perf_counter()
            self.turn.together(epoch)
            others = time.perf_counter() - began - epoch.seconds
            clock.leave_out(others)
            epochs.leave_out(others)
            return epoch

        return train


def _why_alone(strategy: Strategy, data: TransferData) -> str | None:
    """Return why a run cannot train with the others, as far as configurations do not show it; None if it can."""
    backbone = strategy.network.backbone
    streams = [*data.streams.training.values(), *data.streams.validation.values()]
    if strategy.trainable.ever or not strategy.trainable.head:
        return "more or less than its head trains"
    if not all(are_ready(stream, backbone) for stream in streams):
        return "the cache lacks features of its samples"
    heads = [each for each in (strategy.network.head, strategy.network.source) if each is not None]
    if any(isinstance(module, MODAL) for head in heads for module in head.modules()):
        return "its head has dropout or BatchNorm"
    return None


def _prediction(strategy: Strategy, data: TransferData) -> Callable[[], list[list[Output]]]:
    """Return a function that predicts the validation samples in the batches of a single run."""
    backbone, batches = strategy.network.backbone, []
    for role, stream in data.streams.validation.items():
        positions = torch.arange(len(stream.inputs)).split(data.eval_batch_size)
        batches.append([(role, read(stream, backbone, where), where) for where in positions])

    def predict() -> list[list[Output]]:
        return [[encoded(*batch) for batch in each] for each in batches]

    def encoded(role: str, features: Tensor, where: Tensor) -> Output:
        x = Activation(len(backbone.stages), (features.to(strategy.device),))
        return Output(role, *strategy.network_for(role)(x), where)

    return predict


def _samples(
    order: Iterable[Mapping[str, Tensor]],
    data: TransferData,
    features: Features,
    rows: Mapping[str, Tensor],
    device: torch.device,
) -> dict[str, Samples]:
    steps, samples = list(order), {}
    for name, stream in data.streams.training.items():
        index = torch.stack([step[name] for step in steps])
        assert stream.labels is not None
        weights = None if stream.weights is None else stream.weights[index].to(device)
        found, y = rows[name][index].to(device), stream.labels[index].to(device)
        samples[name] = Samples(features, found, index.to(device), y, weights)
    return samples
