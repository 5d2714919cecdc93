"""Freezing policies: which stages of a backbone train, as a pure function of the epoch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from landbridge.errors import LandbridgeError, nearest


class Freezing(ABC):
    """A policy that decides, for every epoch, which stages of a backbone train.

    A freezing policy is a stateless function of the epoch. So a resumed run freezes the same stages as an uninterrupted
    one. Bottleneck and head train in addition to the stages, unless the policy freezes both.

    Args:
        epochs: number of planned epochs.
    """

    #: Whether bottleneck and head train. They train in every epoch or in none.
    head: bool = True

    def __init__(self, epochs: Annotated[int, Gt(0)] = 1) -> None:
        self.epochs = epochs

    @abstractmethod
    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the indices of the stages that train in an epoch.

        Args:
            epoch: counted from 0.
            stages: names of the backbone's stages, starting at the input.
        """

    def ever(self, stages: Sequence[str]) -> frozenset[int]:
        """Return the indices of the stages that train in at least one planned epoch."""
        return frozenset().union(*(self.trainable(epoch, stages) for epoch in range(self.epochs)))

    def lr_scale(self, epoch: int) -> float:
        """Return the factor on every learning rate in an epoch.

        The factor is 1, unless the policy has phases with different learning rates.
        """
        return 1.0


class Depth(Freezing):
    """Freeze the first `depth` stages in all epochs.

    Args:
        depth: number of frozen stages, counted from the input. With `all` only bottleneck and head train.
        **planned: see `Freezing`.
    """

    def __init__(self, depth: Annotated[int, Ge(0)] | Literal["all"] = 0, **planned: Any) -> None:
        super().__init__(**planned)
        self.depth = depth

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the stages after the frozen ones.

        Raises:
            LandbridgeError: the backbone has fewer stages than `depth`.
        """
        depth = len(stages) if isinstance(self.depth, str) else self.depth
        if depth > len(stages):
            raise LandbridgeError(
                f"freeze.depth={depth} is larger than the number of stages: the backbone has {_listed(stages)}"
            )
        return frozenset(range(depth, len(stages)))


class Gradual(Freezing):
    """Unfreeze one stage after the other, from the last to the first (ULMFiT: Howard & Ruder, 2018, arXiv:1801.06146).

    At first only the head trains. A stage that has begun to train is not frozen again. A stage that has not begun by
    the last epoch never trains. The paper adds discriminative learning rates (`strategy.layer_decay=0.385`, that is
    1 / 2.6) and `scheduler=slanted_triangular`.

    Args:
        every: number of epochs after which one more stage begins to train.
        at: epochs, counted from 0, at each of which one more stage begins to train. Replaces `every`. For example,
            `[0, 0, 3]` trains the last two stages from epoch 0 on, and a third stage from epoch 3 on.
        **planned: see `Freezing`.
    """

    def __init__(
        self, every: Annotated[int, Gt(0)] = 1, at: Sequence[Annotated[int, Ge(0)]] | None = None, **planned: Any
    ) -> None:
        super().__init__(**planned)
        self.every = every
        self.at = at

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the stages that have begun to train.

        Raises:
            LandbridgeError: `at` has more entries than the backbone has stages.
        """
        if self.at is None:
            thawed = min(epoch // self.every, len(stages))
        elif len(self.at) > len(stages):
            listed = ", ".join(map(str, self.at))
            raise LandbridgeError(
                f"freeze.at=[{listed}] unfreezes {len(self.at)} stages: the backbone has {_listed(stages)}"
            )
        else:
            thawed = sum(epoch >= begin for begin in self.at)
        return frozenset(range(len(stages) - thawed, len(stages)))


class Surgical(Freezing):
    """Train only the given stages, in all epochs (Lee et al., 2023, arXiv:2210.11466).

    The paper finds that early stages are best where the inputs have changed, and late stages where the labels have
    changed. Choose the stages on validation data: sweep over `freeze.stages` with `selection=target_val`, and compare
    the runs with `landbridge.sweeps.trials.choose`.

    Args:
        stages: names of stages, or their numbers counted from 1 at the input. A single stage needs no list.
        head: whether bottleneck and head train too. A new head must train. The paper freezes the head, except where
            the head is the tuned part.
        **planned: see `Freezing`.
    """

    def __init__(
        self,
        stages: Annotated[int, Gt(0)] | str | Annotated[list[Annotated[int, Gt(0)] | str], MinLen(1)],
        head: bool = True,
        **planned: Any,
    ) -> None:
        super().__init__(**planned)
        self.stages = stages if isinstance(stages, list) else [stages]
        self.head = head

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the chosen stages.

        Raises:
            LandbridgeError: the backbone has no such stage.
        """
        return frozenset(self._index(stage, stages) for stage in self.stages)

    def _index(self, stage: int | str, stages: Sequence[str]) -> int:
        if stage in stages:
            return stages.index(str(stage))
        if isinstance(stage, int) and stage <= len(stages):
            return stage - 1
        hint = nearest(stage, stages) if isinstance(stage, str) else None
        raise LandbridgeError(
            f"freeze.stages: no stage {stage}{f', nearest: {hint}' if hint else ''}; the backbone has {_listed(stages)}"
        )


class LinearThenFull(Freezing):
    """Linear probing, then full fine-tuning, within one budget (LP-FT: Kumar et al., 2022, arXiv:2202.10054).

    In the first phase only the head trains. In the second phase everything trains. The paper trains the head to
    convergence, and then uses a smaller learning rate. One schedule covers both phases.

    Args:
        share: share of the planned epochs in the first phase, in (0, 1). The number of epochs is rounded, and each
            phase has at least one.
        full_lr_scale: factor on the learning rates in the second phase.
        **planned: see `Freezing`.

    Raises:
        LandbridgeError: there are fewer epochs than phases.
    """

    def __init__(
        self,
        share: Annotated[float, Gt(0), Lt(1)] = 0.5,
        full_lr_scale: Annotated[float, Gt(0)] = 0.1,
        **planned: Any,
    ) -> None:
        super().__init__(**planned)
        if self.epochs < 2:
            raise LandbridgeError(
                f"freeze: two phases need trainer.max_epochs of at least 2, not {self.epochs}: raise trainer.max_epochs"
            )
        self.probing = min(max(round(share * self.epochs), 1), self.epochs - 1)
        self.full_lr_scale = full_lr_scale

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return no stage in the first phase, and all stages in the second."""
        return frozenset() if epoch < self.probing else frozenset(range(len(stages)))

    def lr_scale(self, epoch: int) -> float:
        """Return 1 in the first phase, and `full_lr_scale` in the second."""
        return 1.0 if epoch < self.probing else self.full_lr_scale


def _listed(stages: Sequence[str]) -> str:
    return f"{len(stages)} stages: " + ", ".join(f"{number} {name}" for number, name in enumerate(stages, start=1))
