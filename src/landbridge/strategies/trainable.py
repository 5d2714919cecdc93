"""What of a network trains in an epoch, and by which optimizer."""

from abc import ABC
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, cast

from annotated_types import Ge, Gt
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.nn import Parameter
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from landbridge.data.transfer import TransferData
from landbridge.errors import LandbridgeError
from landbridge.freezing import Freezing
from landbridge.network import Network
from landbridge.schedules import Constant, Schedule


class Trainable(LightningModule, ABC):
    """A network of which a policy freezes stages, and whose parameters are divided among optimizers.

    With its parameters and buffers, the number of batches seen is its whole state.

    Args:
        network: backbone and head.
        freeze: which stages train in which epoch.
        optimizer: makes the optimizer from parameter groups.
        schedule: factor on the learning rates over training progress.
        steps: batches that are planned in all.
        backbone_lr_scale: the backbone's learning rate relative to the head's.
        layer_decay: the learning rate of each stage relative to that of the next one towards the head; the last stage's
            is `backbone_lr_scale` times this, relative to the head's. At 1 / 2.6 these are the discriminative rates of
            ULMFiT (Howard & Ruder, 2018, arXiv:1801.06146); 0.65 to 0.9 are usual for transformers.
    """

    def __init__(
        self,
        network: Network,
        freeze: Freezing,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        schedule: Schedule,
        steps: int,
        backbone_lr_scale: Annotated[float, Ge(0)] = 1.0,
        layer_decay: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.freeze_policy = freeze
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.steps = steps
        self.backbone_lr_scale = backbone_lr_scale
        self.layer_decay = layer_decay
        self.batches_seen = 0
        self.trainable = freeze.trainable(0, network.backbone.stages)
        #: Stages that train in any epoch: their parameters are in the optimizer from the start.
        self.ever_trainable = freeze.ever(network.backbone.stages)
        if not freeze.head:
            network.head.requires_grad_(False)

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the name of each hook that it calls, dozens in a step, and a module looks every time whether
        # that is a parameter: together they would cost more than a small network's loss.
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def progress(self) -> float:
        """Training progress in [0, 1]: batches seen over batches planned, whatever the number of optimizers."""
        return min(self.batches_seen / self.steps, 1.0)

    @property
    def data(self) -> TransferData:
        """What the strategy trains on."""
        return cast(Any, self.trainer).datamodule

    def setup(self, stage: str) -> None:
        """Show whatever wraps the network for several processes all that will train: it looks only once."""
        if stage == "fit":
            self.network.backbone.train_stages(self.ever_trainable)

    def on_train_start(self) -> None:
        """Refuse processes side by side that would wait for gradients of weights which stand still in some steps.

        Raises:
            LandbridgeError: what trains changes, and the trainer is not told to expect that.
        """
        # Layers may have been replaced since it was built: trainer.sync_batchnorm does that.
        self.network.backbone.forget_modules()
        wrapped = self.trainer.model
        if not isinstance(wrapped, DistributedDataParallel) or wrapped.find_unused_parameters:
            return
        for who, does, when in (
            (self.freeze_policy, self.changes_what_trains(), "between epochs"),
            (self, not self.automatic_optimization and len(self.players()) > 1, "within a step"),
        ):
            if does:
                raise LandbridgeError(
                    f"{type(who).__name__} changes what trains {when}, which several processes must expect: "
                    "set trainer.strategy=ddp_find_unused_parameters_true, as trainer=ddp does"
                )

    def changes_what_trains(self) -> bool:
        """Say whether some stage trains in some epochs only."""
        stages, epochs = self.network.backbone.stages, range(self.freeze_policy.epochs)
        return any(self.freeze_policy.trainable(epoch, stages) != self.ever_trainable for epoch in epochs)

    def on_train_epoch_start(self) -> None:
        """Freeze what the policy freezes in this epoch; asked anew each time, so that a resume changes nothing."""
        self.trainable = self.freeze_policy.trainable(self.current_epoch, self.network.backbone.stages)
        self.train()

    def train(self, mode: bool = True) -> "Trainable":
        """Set the mode of all modules; stages that are frozen stay in evaluation mode."""
        super().train(mode)
        if mode:
            self.network.backbone.train_stages(self.trainable)
        return self

    def players(self) -> Sequence[Sequence[str]]:
        """Return, for each optimizer, the name prefixes of the parameters that it trains; one for all by default."""
        return [[""]]

    def configure_optimizers(self) -> Any:
        """Build an optimizer for each player, with one group per learning rate, of all parameters that ever train.

        A parameter whose stage still stands has no gradient, so that the optimizer passes it over: it has no state, no
        momentum and no weight decay before it trains.
        """
        self.train()
        self.network.backbone.train_stages(self.ever_trainable)
        configured = [self._configure(tuple(prefixes)) for prefixes in self.players()]
        self._require_work()
        self.train()
        return configured if len(configured) > 1 else configured[0]

    def _require_work(self) -> None:
        """Refuse a policy under which all stages stand still in some epoch, where nothing else trains."""
        stages, prefix = self.network.backbone.stages, "network.backbone."
        idle = [epoch for epoch in range(self.freeze_policy.epochs) if not self.freeze_policy.trainable(epoch, stages)]
        beyond = any(each.requires_grad for name, each in self.named_parameters() if not name.startswith(prefix))
        if idle and not beyond:
            raise LandbridgeError(
                f"freeze {type(self.freeze_policy).__name__}: nothing trains in epoch {idle[0] + 1}, in which all "
                f"stages stand still, for {type(self).__name__} holds the head still as well"
            )

    def _configure(self, prefixes: tuple[str, ...]) -> dict[str, Any]:
        groups: dict[float, list[Parameter]] = {}
        scales = self.lr_scales()
        for name, parameter in self.named_parameters():
            if parameter.requires_grad and name.startswith(prefixes):
                scale = scales.get(name, 1.0)
                groups.setdefault(scale, []).append(parameter)
        if not groups:
            raise LandbridgeError(f"strategy {type(self).__name__}: nothing is left to train")
        optimizer = self.make_optimizer([{"params": group, "scale": scale} for scale, group in groups.items()])
        for group in optimizer.param_groups:
            group["lr"] *= group["scale"]
        phases = {self.freeze_policy.lr_scale(epoch) for epoch in range(self.freeze_policy.epochs)}
        if isinstance(self.schedule, Constant) and phases == {1.0}:
            return {"optimizer": optimizer}
        scheduler = LambdaLR(optimizer, lambda _: self._lr_factor())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scales(self) -> dict[str, float]:
        """Map parameters, by name, to their learning rates relative to the head's: by default, all of the backbone."""
        backbone = self.network.backbone
        return {
            f"network.backbone.{name}": self.backbone_lr_scale * self.layer_decay ** (len(backbone.stages) - stage)
            for name, stage in backbone.stage_of.items()
        }

    def _lr_factor(self) -> float:
        # Asked after the last batch of an epoch, it answers for the first of the next.
        epoch = self.batches_seen * self.freeze_policy.epochs // self.steps
        return self.schedule(self.progress) * self.freeze_policy.lr_scale(epoch)

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the number of batches seen."""
        checkpoint["batches_seen"] = self.batches_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the number of batches seen."""
        self.batches_seen = checkpoint["batches_seen"]

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of all parameters and of those that train in any epoch."""
        self.train()
        self.network.backbone.train_stages(self.ever_trainable)
        counts = _count(self.parameters()), _count(p for p in self.parameters() if p.requires_grad)
        self.train()
        return counts


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
