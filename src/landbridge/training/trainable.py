"""The part of a network that trains in an epoch, and the optimizers that train it."""

from abc import ABC
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import Parameter
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.training.encoder import Encoder
from landbridge.training.freezing import Freezing
from landbridge.training.schedules import Constant, Schedule
from landbridge.training.trainable_parameters import TrainableParameters


class Trainable(Encoder, ABC):
    """A network whose stages are frozen by a policy, and whose parameters are divided among optimizers.

    Its whole state is its parameters, its buffers and the number of batches seen.

    Args:
        network: backbone and head.
        freeze: which stages train in which epoch.
        optimizer: builds an optimizer from parameter groups.
        schedule: factor on the learning rates as a function of training progress.
        steps: number of planned batches.
        backbone_lr_scale: the backbone's learning rate relative to the head's.
        layer_decay: the learning rate of each stage, divided by that of the next stage towards the head. The learning
            rate of the last stage is `backbone_lr_scale * layer_decay` times the head's. The value 1 / 2.6 gives the
            discriminative rates of ULMFiT (Howard & Ruder, 2018, arXiv:1801.06146). For transformers 0.65 to 0.9 are
            usual.
        trains_head: whether the head may train.
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
        trains_head: bool = True,
    ) -> None:
        super().__init__(network)
        self.trainable = TrainableParameters(network, freeze, trains_head, self.trains_bottleneck)
        self.make_optimizer = optimizer
        self.schedule = schedule.planned(steps, freeze.epochs)
        self.steps = steps
        self.backbone_lr_scale = backbone_lr_scale
        self.layer_decay = layer_decay
        self.batches_seen = 0
        #: Whether the checkpoint to go on from is of a training with another number of steps.
        self._has_new_plan = False
        self.stages_now = self.trainable.stages(0)

    @property
    def trains_bottleneck(self) -> bool:
        """Whether the bottleneck may train. Its learning rate is the head's."""
        return True

    @property
    def progress(self) -> float:
        """Training progress in [0, 1]: batches seen over batches planned, for any number of optimizers."""
        return min(self.batches_seen / self.steps, 1.0)

    @property
    def steps_taken(self) -> int:
        """Number of training steps so far, those of a resumed or continued run included."""
        return self.batches_seen

    def setup(self, stage: str) -> None:
        """Mark all parameters that ever train, because DistributedDataParallel reads the marks only once, at setup."""
        if stage == "fit":
            self.trainable.apply(self.trainable.ever)

    def on_train_start(self) -> None:
        """Refuse parallel processes that would wait for gradients of weights which are frozen in some steps.

        Raises:
            LandbridgeError: the set of trained parameters changes, and the trainer is not configured for that.
        """
        # Layers may have been replaced after the network was built: trainer.sync_batchnorm replaces BatchNorm.
        self.network.backbone.forget_modules()
        if self._has_new_plan:
            self._follow_new_plan()
        wrapped = self.trainer.model
        if not isinstance(wrapped, DistributedDataParallel) or wrapped.find_unused_parameters:
            return
        for cause, applies, when in (
            (self.trainable.policy, self.trainable.changes, "between epochs"),
            (self, not self.automatic_optimization and len(self.parameter_groups()) > 1, "within a step"),
        ):
            if applies:
                raise LandbridgeError(
                    f"{type(cause).__name__} changes what trains {when}, and trainer.strategy does not support this "
                    "with several processes: set trainer.strategy=ddp_find_unused_parameters_true, as trainer=ddp does"
                )

    def on_train_epoch_start(self) -> None:
        """Freeze the stages that the policy freezes in this epoch.

        The policy is evaluated in every epoch, so that a resumed run freezes the same stages.
        """
        self.stages_now = self.trainable.stages(self.current_epoch)
        self.train()

    def train(self, mode: bool = True) -> "Trainable":
        """Set the mode of all modules. Frozen stages stay in evaluation mode."""
        super().train(mode)
        if mode:
            self.trainable.apply(self.stages_now)
        return self

    def parameter_groups(self) -> Sequence[Sequence[str]]:
        """Return, for each optimizer, the name prefixes of the parameters that it trains.

        By default one optimizer trains all parameters.
        """
        return [[""]]

    def configure_optimizers(self) -> Any:
        """Build one optimizer for each entry of `parameter_groups`, with one group for each learning rate.

        The optimizers contain all parameters that train in some epoch. A parameter of a frozen stage has no gradient,
        so the optimizer skips it. Before the stage trains, the parameter has no state, no momentum and no weight decay.
        """
        self.train()
        self.trainable.apply(self.trainable.ever)
        configured = [self._configure(tuple(prefixes)) for prefixes in self.parameter_groups()]
        prefix = "network.backbone."
        others = any(each.requires_grad for name, each in self.named_parameters() if not name.startswith(prefix))
        self.trainable.require_work(others, type(self).__name__)
        self.train()
        return configured if len(configured) > 1 else configured[0]

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
        phases = {self.trainable.policy.lr_scale(epoch) for epoch in range(self.trainable.policy.epochs)}
        if isinstance(self.schedule, Constant) and not self.schedule.warmup and phases == {1.0}:
            return {"optimizer": optimizer}
        scheduler = LambdaLR(optimizer, lambda _: self.lr_factor(self.batches_seen))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scales(self) -> dict[str, float]:
        """Map names of parameters to their learning rates relative to the head's.

        The default contains all parameters of the backbone. A parameter that is missing has the head's learning rate.
        """
        backbone = self.network.backbone
        return {
            f"network.backbone.{name}": self.backbone_lr_scale * self.layer_decay ** (len(backbone.stages) - stage)
            for name, stage in backbone.stage_of.items()
        }

    def lr_factor(self, batches: int) -> float:
        """Return the factor on the learning rates after a number of batches."""
        # After the last batch of an epoch, this is already the number of the next epoch.
        epoch = batches * self.trainable.policy.epochs // self.steps
        return self.schedule(min(batches / self.steps, 1.0)) * self.trainable.policy.lr_scale(epoch)

    def _follow_new_plan(self) -> None:
        """Set the learning rates of the next step, because those in the checkpoint are of the old plan."""
        schedulers: Any = self.lr_schedulers() or []
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            for group, rate in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True):
                group["lr"] = rate * self.lr_factor(self.batches_seen)

    def step_optimizers(self, groups: int | Sequence[int], loss: Tensor) -> None:
        """Take a step of one optimizer, or of several optimizers together, to reduce a loss.

        This is for manual optimization. Only the parameters of these optimizers change. Gradients of other parameters
        are set to zero before the next step of their optimizer.

        Args:
            groups: indices of the `parameter_groups` to train.
            loss: a scalar.
        """
        moved = [groups] if isinstance(groups, int) else groups
        optimizers: Any = self.optimizers()
        schedulers: Any = self.lr_schedulers() or []
        optimizers, schedulers = (each if isinstance(each, list) else [each] for each in (optimizers, schedulers))
        for group in moved:
            optimizers[group].zero_grad()
        self.manual_backward(loss)
        for group in moved:
            optimizers[group].step()
            if schedulers:
                schedulers[group].step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the numbers of batches seen, of batches planned, and of samples encoded into the checkpoint."""
        checkpoint["batches_seen"], checkpoint["steps"] = self.batches_seen, self.steps
        checkpoint["passes"] = self.passes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore these numbers. Checkpoints of older versions have only the first."""
        self.batches_seen = checkpoint["batches_seen"]
        self.passes = checkpoint.get("passes", 0)
        self._has_new_plan = checkpoint.get("steps", self.steps) != self.steps

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of the model's parameters, and the number of those that train in some epoch."""
        self.train()
        self.trainable.apply(self.trainable.ever)
        # The frozen copy of the initial network is not part of the model.
        model = [parameter for name, parameter in self.named_parameters() if not name.startswith("initial.")]
        counts = _count(model), _count(parameter for parameter in model if parameter.requires_grad)
        self.train()
        return counts


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
