"""Which parameters of a network train in which epoch: the one place that answers this."""

from functools import cached_property

from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.training.freezing import Freezing


class TrainableParameters:
    """Joins what policy, tuning and strategy say.

    A parameter of the backbone trains in an epoch if the freezing policy trains its stage in this epoch and the tuning
    does not hold it. The head trains in every epoch if neither the policy nor the strategy holds it, and else in none.
    All other parameters of a strategy, such as those of a domain discriminator, train in every epoch.

    Args:
        network: backbone and head.
        policy: which stages train in which epoch.
        head: whether the strategy lets the head train.
    """

    def __init__(self, network: Network, policy: Freezing, head: bool) -> None:
        self.network = network
        self.policy = policy
        self.head = head and policy.head

    def stages(self, epoch: int) -> frozenset[int]:
        """Return the stages that train in an epoch."""
        return self.policy.trainable(epoch, self.network.backbone.stages)

    @cached_property
    def ever(self) -> frozenset[int]:
        """The stages that train in any planned epoch."""
        return self.policy.ever(self.network.backbone.stages)

    @cached_property
    def frozen_depth(self) -> int:
        """How many stages, counted from the input, train in no planned epoch."""
        return min(self.ever, default=len(self.network.backbone.stages))

    @cached_property
    def changes(self) -> bool:
        """Whether some stage trains in some planned epochs only."""
        return any(self.stages(epoch) != self.ever for epoch in range(self.policy.epochs))

    def apply(self, stages: frozenset[int]) -> None:
        """Let the parameters of some stages train, and the head if it may; see `Backbone.train_stages`."""
        self.network.backbone.train_stages(stages)
        if not self.head:
            self.network.head.requires_grad_(False)

    def require_work(self, beside_the_backbone: bool, strategy: str) -> None:
        """Refuse a policy under which nothing trains in some epoch.

        Args:
            beside_the_backbone: whether anything else than the backbone trains.
            strategy: its name, for the message.

        Raises:
            LandbridgeError: names the first such epoch.
        """
        idle = [epoch for epoch in range(self.policy.epochs) if not self.stages(epoch)]
        if idle and not beside_the_backbone:
            raise LandbridgeError(
                f"freeze {type(self.policy).__name__}: nothing trains in epoch {idle[0] + 1}: all stages are frozen, "
                f"and {strategy} freezes the head as well"
            )
