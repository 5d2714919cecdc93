"""The base of all strategies: it encodes streams, sums a loss's terms, freezes, and builds the optimizer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.freezing import Freezing
from landbridge.network import Network
from landbridge.schedules import Constant, Schedule
from landbridge.strategies.output import Output
from landbridge.strategies.terms import TERMS, start_for
from landbridge.strategies.terms import needs as needs_of_terms

# Looking at a loss makes a GPU wait, so training looks once in so many steps.
STEPS_BETWEEN_CHECKS = 50


class Strategy(LightningModule, ABC):
    """A way of carrying knowledge over: the streams it needs, and its loss.

    All that a strategy learns lies in parameters and buffers; with the number of batches seen, that is its whole state.

    Args:
        network: backbone and head.
        freeze: which stages train in which epoch.
        optimizer: makes the optimizer from parameter groups.
        schedule: factor on the learning rates over training progress.
        steps: batches that are planned in all.
        terms: weights of terms that are added to the loss, by name; see `landbridge.strategies.terms`.
        backbone_lr_scale: the backbone's learning rate relative to the head's.
    """

    #: Streams without which the strategy cannot train, and streams that it uses where the setting provides them.
    needs: ClassVar[frozenset[str]]
    optional: ClassVar[frozenset[str]] = frozenset()
    #: Whether it changes its weights while testing, and therefore needs gradients there.
    adapts_at_test: ClassVar[bool] = False
    #: Whether it is trained at all before it is tested.
    trains: ClassVar[bool] = True
    #: Whether it continues a source model, head included, and can therefore not start from scratch.
    continues_source: ClassVar[bool] = False
    #: What trains the source model where `start=source` makes one, on the source in the target's place.
    source_strategy: ClassVar[str] = "landbridge.strategies.TargetOnly"
    #: Config groups that have no effect on it: runs that differ in nothing else are one and the same.
    ignores: ClassVar[frozenset[str]] = frozenset()
    #: Names of the selection rules that score the very quantity its loss optimises, and therefore flatter it.
    optimises: ClassVar[frozenset[str]] = frozenset()

    #: How test samples arrive, for a strategy that adapts to them as they come: how many at a time, and the seed of
    #: their random order. None: as many as the data says, and as the split holds them.
    test_batch_size: int | None = None
    test_order_seed: int | None = None

    weights_at_start: Tensor | None

    def __init__(
        self,
        network: Network,
        freeze: Freezing,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        schedule: Schedule,
        steps: int,
        terms: Mapping[str, float],
        backbone_lr_scale: Annotated[float, Ge(0)] = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.freeze_policy = freeze
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.steps = steps
        self.terms = dict(terms)
        # In the checkpoint, so that a resumed run is pulled towards the same weights.
        self.register_buffer("weights_at_start", start_for(terms, network.backbone))
        self.backbone_lr_scale = backbone_lr_scale
        self.batches_seen = 0
        self.trainable = freeze.trainable(0, network.backbone.stages)
        self._totals: dict[str, Tensor] = {}
        self._batches_in_totals = 0
        self.epoch_losses: dict[str, float] = {}

    @abstractmethod
    def loss(self, *args: Any, **streams: Any) -> dict[str, Tensor]:
        """Return the terms of the loss, each a scalar; their sum is minimised.

        Args:
            *args: none; subclasses name the streams they take.
            **streams: the `Output` of each stream in `needs`, and of those in `optional` that the setting provides.
        """

    def inherit(self, beside: Mapping[str, Tensor]) -> None:
        """Take over what a source model's strategy has kept beside its network, by name."""

    @property
    def progress(self) -> float:
        """Training progress in [0, 1]: batches seen over batches planned, whatever the number of optimizers."""
        return min(self.batches_seen / self.steps, 1.0)

    def classify(self, *labelled: Output | None) -> Tensor:
        """Cross-entropy of labelled streams, each stream's mean counted once."""
        return sum((cross_entropy(stream.logits, stream.y) for stream in labelled if stream), start=torch.zeros(()))

    def encode(self, name: str, batch: Batch) -> Output:
        """Run one stream's batch through the network on its own, so that batch statistics stay per stream.

        Raises:
            LandbridgeError: a batch of one sample meets a BatchNorm that trains and needs more.
        """
        spec = self.network.backbone.spec
        # Images are rendered on the device that trains: bytes travel, floats do not.
        inputs = (spec.render(batch["x"]) if spec else batch["x"]).to(self.dtype)
        try:
            features, logits = self.network_for(name)(inputs)
        except ValueError as error:
            if len(inputs) > 1:
                raise
            message = f"a batch of one sample ({name}) has no statistics for BatchNorm: raise data.batch_size"
            raise LandbridgeError(message) from error
        return Output(name, features.float(), logits.float(), batch["index"], batch.get("y"))

    def network_for(self, name: str) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Return the network that encodes a stream: for all the same, unless a strategy keeps a second one."""
        return self.network

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode every stream of a batch. A strategy that learns from augmented views adds them under new names."""
        return {name: self.encode(name, stream) for name, stream in batch.items()}

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> Tensor | None:
        """Encode every stream, and sum the terms of the loss. A strategy that alternates steps overrides this."""
        terms = self.loss_terms(self.encode_streams(batch))
        self.count_step(terms)
        return torch.stack(list(terms.values())).sum()

    def loss_terms(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """Return the terms of the strategy's own loss and the configured ones beside it."""
        # Distances and covariances cancel: they are computed in full precision whatever the network's is.
        with torch.autocast(self.device.type, enabled=False):
            foreign = needs_of_terms(self.terms) - self.needs - self.optional
            own = {name: output for name, output in outputs.items() if name not in foreign}
            return self.loss(**own) | self.added_terms(outputs)

    def added_terms(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """Return the configured terms beside the strategy's own loss, each with its weight."""
        given = (outputs, self.network.backbone, self.weights_at_start)
        return {f"+{name}": weight * TERMS[name].value(*given) for name, weight in self.terms.items()}

    def count_step(self, terms: Mapping[str, Tensor]) -> None:
        """Note the terms of a finished step, and count it as one batch, however many optimizers moved in it."""
        self.batches_seen += 1
        # Sums stay on the device; Lightning's `log` would cost more than a small network's forward pass.
        for name, value in terms.items():
            value = value.detach()
            self._totals[name] = self._totals[name] + value if name in self._totals else value
        self._batches_in_totals += 1
        if self.batches_seen % STEPS_BETWEEN_CHECKS == 0:
            self._require_finite()

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encode a batch of validation inputs; selection rules read the outputs."""
        return self.encode(batch["stream"], batch)

    def predict_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Encode a batch of test inputs."""
        return self.encode(batch["stream"], batch)

    @torch.no_grad()
    def collect(self, name: str) -> Output:
        """Encode a whole training stream in the order of its samples, in evaluation mode."""
        self.eval()
        batches = self.trainer.datamodule.in_order(name)  # type: ignore[attr-defined]
        outputs = [self.encode(name, self.transfer_batch_to_device(batch, self.device, 0)) for batch in batches]
        self.train()
        joined = {field: torch.cat([getattr(each, field) for each in outputs]) for field in ("features", "logits")}
        return Output(name, index=torch.cat([each.index for each in outputs]), **joined)

    # Freezing -------------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Freeze what the policy freezes in this epoch; asked anew each time, so that a resume changes nothing."""
        self.trainable = self.freeze_policy.trainable(self.current_epoch, self.network.backbone.stages)
        self.train()

    def train(self, mode: bool = True) -> "Strategy":
        """Set the mode of all modules; stages that are frozen stay in evaluation mode."""
        super().train(mode)
        if mode:
            self.network.backbone.train_stages(self.trainable)
        return self

    def players(self) -> Sequence[Sequence[str]]:
        """Return, for each optimizer, the name prefixes of the parameters that it trains; one for all by default."""
        return [[""]]

    def configure_optimizers(self) -> Any:
        """Build an optimizer for each player, with one group per learning rate, of the parameters that train."""
        self.train()
        configured = [self._configure(tuple(prefixes)) for prefixes in self.players()]
        return configured if len(configured) > 1 else configured[0]

    def _configure(self, prefixes: tuple[str, ...]) -> dict[str, Any]:
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad and name.startswith(prefixes):
                scale = self.backbone_lr_scale if name.startswith("network.backbone.") else 1.0
                groups.setdefault(scale, []).append(parameter)
        if not groups:
            raise LandbridgeError(f"strategy {type(self).__name__}: nothing is left to train")
        optimizer = self.make_optimizer([{"params": group, "scale": scale} for scale, group in groups.items()])
        for group in optimizer.param_groups:
            group["lr"] *= group["scale"]
        if isinstance(self.schedule, Constant):
            return {"optimizer": optimizer}
        scheduler = LambdaLR(optimizer, lambda _: self.schedule(self.progress))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def update(self, players: int | Sequence[int], loss: Tensor) -> None:
        """Move one player, or several at once, against a loss's gradient: for strategies with manual optimisation.

        Only their own parameters move; gradients that reach others are dropped before their next update.
        """
        moved = [players] if isinstance(players, int) else players
        optimizers: Any = self.optimizers()
        schedulers: Any = self.lr_schedulers() or []
        optimizers, schedulers = (each if isinstance(each, list) else [each] for each in (optimizers, schedulers))
        for player in moved:
            optimizers[player].zero_grad()
        self.manual_backward(loss)
        for player in moved:
            optimizers[player].step()
            if schedulers:
                schedulers[player].step()

    # State and logging ----------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the number of batches seen."""
        checkpoint["batches_seen"] = self.batches_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the number of batches seen."""
        self.batches_seen = checkpoint["batches_seen"]

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean of each term."""
        self._require_finite()
        self.epoch_losses = {name: float(value) / self._batches_in_totals for name, value in self._totals.items()}
        self.log_dict({f"train/{name}": value for name, value in self.epoch_losses.items()})
        self._totals, self._batches_in_totals = {}, 0

    def _require_finite(self) -> None:
        broken = [name for name, value in self._totals.items() if not torch.isfinite(value)]
        if broken:
            raise LandbridgeError(
                f"training diverged by step {self.batches_seen}: the loss term{'s' if len(broken) > 1 else ''} "
                f"{' and '.join(broken)} of {type(self).__name__} is not finite; a lower optimizer.lr may help"
            )

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of all parameters and of those that train."""
        self.train()
        return _count(self.parameters()), _count(p for p in self.parameters() if p.requires_grad)


def _count(parameters: Iterable[torch.nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
