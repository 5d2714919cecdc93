"""Which stages train, as a pure function of the epoch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from landbridge.errors import LandbridgeError, nearest


class Freezing(ABC):
    """A policy that says, for every epoch, which stages of a backbone train; the head trains beside them.

    It remembers nothing: asked again after a resume, it answers the same.

    Args:
        epochs: how many are planned.
    """

    #: Whether the head trains. It does so in every epoch or in none.
    head: bool = True

    def __init__(self, epochs: Annotated[int, Gt(0)] = 1) -> None:
        self.epochs = epochs

    @abstractmethod
    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the indices of the stages that train in an epoch.

        Args:
            epoch: from 0 on.
            stages: names of the backbone's stages, from the input on.
        """

    def ever(self, stages: Sequence[str]) -> frozenset[int]:
        """Return the indices of the stages that train in any of the planned epochs."""
        return frozenset().union(*(self.trainable(epoch, stages) for epoch in range(self.epochs)))

    def lr_scale(self, epoch: int) -> float:
        """Return the factor on every learning rate in an epoch: 1, unless the policy has phases with their own."""
        return 1.0


class Depth(Freezing):
    """Freeze the first `depth` stages throughout.

    Args:
        depth: how many stages, counted from the input, do not train; `all` leaves only the head.
        **planned: see `Freezing`.
    """

    def __init__(self, depth: Annotated[int, Ge(0)] | Literal["all"] = 0, **planned: Any) -> None:
        super().__init__(**planned)
        self.depth = depth

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the stages after the frozen ones.

        Raises:
            LandbridgeError: there are fewer stages than are to be frozen.
        """
        depth = len(stages) if isinstance(self.depth, str) else self.depth
        if depth > len(stages):
            raise LandbridgeError(f"freeze.depth={depth}: the backbone has {_listed(stages)}")
        return frozenset(range(depth, len(stages)))


class Gradual(Freezing):
    """Thaw one stage after the other, from the head down (ULMFiT: Howard & Ruder, 2018, arXiv:1801.06146).

    The head trains alone first. A stage that has begun to train goes on; what is not reached by the last epoch never
    trains. The paper adds discriminative learning rates (`strategy.layer_decay=0.385`, that is 1 / 2.6) and
    `scheduler=slanted_triangular`.

    Args:
        every: one more stage trains after each so many epochs.
        at: the epochs, counted from 0, at which one more stage begins each, in place of `every`; `[0, 0, 3]` begins
            with two stages and adds a third.
        **planned: see `Freezing`.
    """

    def __init__(
        self, every: Annotated[int, Gt(0)] = 1, at: Sequence[Annotated[int, Ge(0)]] | None = None, **planned: Any
    ) -> None:
        super().__init__(**planned)
        self.every = every
        self.at = at

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return the stages that have thawed.

        Raises:
            LandbridgeError: more stages are to begin than there are.
        """
        if self.at is None:
            thawed = min(epoch // self.every, len(stages))
        elif len(self.at) > len(stages):
            listed = ", ".join(map(str, self.at))
            raise LandbridgeError(
                f"freeze.at=[{listed}] begins {len(self.at)} stages: the backbone has {_listed(stages)}"
            )
        else:
            thawed = sum(epoch >= begin for begin in self.at)
        return frozenset(range(len(stages) - thawed, len(stages)))


class Surgical(Freezing):
    """Train only some stages, throughout (Lee et al., 2023, arXiv:2210.11466).

    The paper finds that early stages are best where the inputs have changed, and late ones where the labels have. Which
    to take is chosen on validation data: sweep over `freeze.stages` with `selection=target_val`, then let
    `landbridge.sweeps.trials.choose` compare the runs.

    Args:
        stages: names of stages, or their numbers counted from 1 at the input; one alone needs no list.
        head: whether the head trains too. It must where it is new; the paper freezes it unless it is what is tuned.
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

    Only the head trains for a share of the epochs, and everything after that. The paper trains the head to convergence
    and goes on with a smaller learning rate. One schedule runs over both phases.

    Args:
        share: of the planned epochs in which only the head trains, in (0, 1), rounded; each phase has one at least.
        full_lr_scale: the second phase's learning rates, relative to what they would be without phases.
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
            raise LandbridgeError(f"freeze: two phases need trainer.max_epochs of at least 2, not {self.epochs}")
        self.probing = min(max(round(share * self.epochs), 1), self.epochs - 1)
        self.full_lr_scale = full_lr_scale

    def trainable(self, epoch: int, stages: Sequence[str]) -> frozenset[int]:
        """Return no stage, then all."""
        return frozenset() if epoch < self.probing else frozenset(range(len(stages)))

    def lr_scale(self, epoch: int) -> float:
        """Return 1, then the second phase's factor."""
        return 1.0 if epoch < self.probing else self.full_lr_scale


def _listed(stages: Sequence[str]) -> str:
    return f"{len(stages)} stages: " + ", ".join(f"{number} {name}" for number, name in enumerate(stages, start=1))
