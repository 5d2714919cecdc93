"""Cells of a report (all seeds of one method on one pair), and the comparison of all cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from landbridge.report.runs import Method, Pair, Run
from landbridge.statistics import Budget, Interval, Judgement, t_interval


@dataclass
class Cell:
    """All seeds of one method on one pair.

    Attributes:
        method: strategy and varying settings.
        pair: source and target.
        runs: runs by seed.
        oracle: whether the cell used target labels that the transferring methods cannot use.
        reference: the cell it is compared with; None if there is none.
        why_none: the reason if there is no reference.
        judgement: the verdict over the seeds that the cell and its reference share.
        items: interval of the gain from resampling seeds and then test items.
        trials: number of settings in which its strategy was run on the pair.
    """

    method: Method
    pair: Pair
    runs: Mapping[int, Run]
    oracle: bool = False
    reference: "Cell | None" = None
    why_none: str = ""
    judgement: Judgement | None = None
    items: Interval | None = None
    trials: int = 1

    @property
    def scores(self) -> list[float]:
        """The metric on the target's test split, by seed."""
        return [self.runs[seed].score for seed in sorted(self.runs)]

    @property
    def mean(self) -> float:
        """Mean score over seeds."""
        return float(np.mean(self.scores))

    @cached_property
    def interval(self) -> Interval | None:
        """Student's t interval of the mean score; None for a single seed."""
        return t_interval(self.scores) if len(self.runs) > 1 else None

    @property
    def first(self) -> Run:
        """The run with the lowest seed."""
        return self.runs[min(self.runs)]

    @property
    def paired(self) -> dict[int, tuple[Run, Run]]:
        """The run and the reference's run, by seed, for the seeds that both have."""
        others = self.reference.runs if self.reference else {}
        return {seed: (self.runs[seed], others[seed]) for seed in sorted(self.runs.keys() & others.keys())}

    @property
    def gains(self) -> list[float]:
        """Score minus the reference's score, for each shared seed."""
        return [run.score - other.score for run, other in self.paired.values()]

    @property
    def gain(self) -> float:
        """Mean gain over the shared seeds; nan if there is no verdict."""
        return self.judgement.gain if self.judgement else np.nan

    @property
    def verdict(self) -> str:
        """`helps`, `harms` or `undecided`; empty if there is no verdict."""
        return self.judgement.verdict if self.judgement else ""

    @property
    def budget(self) -> Budget:
        """The tuning budget: number of settings tried and planned steps."""
        return Budget(self.trials, self.first.steps)

    @property
    def reference_name(self) -> str:
        """The name of the reference, with those of its settings that differ from the cell's settings."""
        if not self.reference:
            return ""
        own = tuple(each for each in self.reference.method.variant if each not in self.method.variant)
        name = self.reference.first.as_reference
        return str(Method(name, tuple(each for each in own if each[1].lower() != name)))

    @property
    def flags(self) -> list[str]:
        """Warnings that belong to the verdict, or the reason why there is no verdict."""
        judgement = self.judgement
        flags = ["transductive: adapts to the test inputs"] if self.first.transductive else []
        if judgement is None:
            return [*flags, self.why_none] if self.why_none else flags
        flags += ["too few seeds for significance"] if judgement.too_few_seeds else []
        if judgement.budget_mismatch:
            flags.append("tuning budgets differ")
        unpaired = len(self.runs) - judgement.seeds
        return [*flags, f"{unpaired} seeds missing in the reference"] if unpaired else flags

    def median_cost(self, name: str) -> float | None:
        """Return the median over seeds of a cost in the record; None if no run recorded it."""
        values = [run.record.cost[name] for run in self.runs.values() if run.record.cost.get(name) is not None]
        return float(np.median(values)) if values else None


@dataclass
class Comparison:
    """All cells of a report.

    Attributes:
        cells: sorted by pair and method, source-only first on each pair.
        pairs: declared source-target pairs, including pairs without a finished run.
        draws: number of resamples for each interval over seeds and test items.
    """

    cells: Sequence[Cell]
    pairs: Sequence[Pair]
    draws: int

    @property
    def judged(self) -> list[Cell]:
        """Cells that have a verdict."""
        return [cell for cell in self.cells if cell.judgement]

    @property
    def methods(self) -> list[Method]:
        """Methods that transfer from a source, in the order of the cells."""
        return list(dict.fromkeys(cell.method for cell in self.cells if cell.pair.source and not cell.oracle))

    def at(self, method: Method, pair: Pair) -> Cell | None:
        """Return the cell of a method on a pair; None if there is none."""
        return next((cell for cell in self.cells if cell.method == method and cell.pair == pair), None)
