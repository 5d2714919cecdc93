"""The rule for which parameters of a network train in which epoch. No other module decides this."""

from functools import cached_property

from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.training.freezing import Freezing


class TrainableParameters:
    """The combination of freezing policy, tuning and strategy.

    A parameter of the backbone trains in an epoch under two conditions: the freezing policy trains its stage in this
    epoch, and the tuning does not freeze the parameter. The head trains in every epoch if neither the policy nor the
    strategy freezes it, and otherwise in no epoch. The same holds for the bottleneck: a policy freezes it with the
    head, and a strategy freezes it with the backbone. So a strategy that freezes only the head trains the bottleneck.
    All other parameters of a strategy, such as those of a domain discriminator, train in every epoch.

    Args:
        network: backbone and head.
        policy: which stages train in which epoch.
        head: whether the strategy trains the head.
        bottleneck: whether the strategy trains the bottleneck.
    """

    def __init__(self, network: Network, policy: Freezing, head: bool, bottleneck: bool = True) -> None:
        self.network = network
        self.policy = policy
        self.head = head and policy.head
        self.bottleneck = bottleneck and policy.head

    def stages(self, epoch: int) -> frozenset[int]:
        """Return the stages that train in an epoch."""
        return self.policy.trainable(epoch, self.network.backbone.stages)

    @cached_property
    def ever(self) -> frozenset[int]:
        """The stages that train in at least one planned epoch."""
        return self.policy.ever(self.network.backbone.stages)

    @cached_property
    def frozen_depth(self) -> int:
        """The number of stages, counted from the input, that are frozen in all planned epochs."""
        return min(self.ever, default=len(self.network.backbone.stages))

    @cached_property
    def changes(self) -> bool:
        """Whether a stage trains in some planned epochs but not in all."""
        return any(self.stages(epoch) != self.ever for epoch in range(self.policy.epochs))

    def apply(self, stages: frozenset[int], network: Network | None = None) -> None:
        """Set which parameters train: those of the given stages, and bottleneck and heads unless they are frozen.

        See `Backbone.train_stages`.

        Args:
            stages: indices of the stages.
            network: a copy of the network; None is the network itself.
        """
        network = network or self.network
        network.backbone.train_stages(stages)
        frozen = [] if self.head else [network.head, network.source]
        for part in [*frozen, *([] if self.bottleneck else [network.bottleneck])]:
            if part is not None:
                part.requires_grad_(False)
                part.eval()

    def require_work(self, beside_the_backbone: bool, strategy: str) -> None:
        """Refuse a policy that leaves an epoch without any trained parameter.

        Args:
            beside_the_backbone: whether parameters outside the backbone train.
            strategy: name of the strategy, for the message.

        Raises:
            LandbridgeError: there is such an epoch; the message has the number of the first one.
        """
        idle = [epoch for epoch in range(self.policy.epochs) if not self.stages(epoch)]
        if idle and not beside_the_backbone:
            raise LandbridgeError(
                f"freeze {type(self.policy).__name__}: nothing trains in epoch {idle[0] + 1}: all stages are frozen, "
                f"and {strategy} freezes the head as well; choose a freezing policy that trains a stage in every epoch"
            )
