"""Cells of a report (all seeds of one method on one pair), and the comparison of all cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from landbridge.report.budgets import LENGTH, lengths, steps, unequal_budget, unequal_passes
from landbridge.report.metrics import Metric, metric_of
from landbridge.report.numbers import plural
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
        why_none: the reason if it should have a reference, and has none.
        no_claim: the reason if it needs no verdict: it is there to explain other cells, and claims nothing.
        judgement: the verdict over the seeds that the cell and its reference share.
        trials: number of settings in which its strategy was run on the pair.
    """

    method: Method
    pair: Pair
    runs: Mapping[int, Run]
    oracle: bool = False
    reference: "Cell | None" = None
    why_none: str = ""
    no_claim: str = ""
    judgement: Judgement | None = None
    trials: int = 1

    @property
    def metric(self) -> Metric:
        """The metric that the runs are compared by."""
        return self.first.metric

    @property
    def kind(self) -> str:
        """What is predicted on the target. Cells of different kinds are never shown in one matrix, rank or mean."""
        return _kind(self.first.task())

    @property
    def scores(self) -> list[float]:
        """The metric on the target's test split, by seed."""
        return [self.runs[seed].score for seed in sorted(self.runs)]

    @property
    def mean(self) -> float:
        """Mean score over seeds."""
        return float(np.mean(self.scores))

    @property
    def merit(self) -> float:
        """The mean score, turned so that higher is better."""
        return self.metric.sign * self.mean

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
        """How much better the score is than that of the reference, for each shared seed; higher is better."""
        return [run.merit - other.merit for run, other in self.paired.values()]

    @property
    def gain(self) -> float:
        """Mean gain over the shared seeds; nan if there is no verdict."""
        return self.judgement.gain if self.judgement else np.nan

    @property
    def verdict(self) -> str:
        """`helps`, `harms` or `undecided`; empty if there is no verdict."""
        return self.judgement.verdict if self.judgement else ""

    @property
    def reason(self) -> str:
        """Why the verdict is what it is, or why there is none."""
        return self.judgement.reason if self.judgement else self.no_claim or self.why_none

    @property
    def budget(self) -> Budget:
        """The tuning budget: number of settings tried, and steps of training in all, the mean over seeds."""
        return Budget(self.trials, steps(self))

    @property
    def reference_name(self) -> str:
        """The name of the reference, with those of its settings that differ from the cell's settings.

        If it was run in several lengths, the name says which one this is, as in `source_only, 600 steps`.
        """
        if not self.reference:
            return ""
        mine = self.first.settings
        variant = self.reference.method.variant
        own = tuple(each for each in variant if each[1] != mine.get(each[0], "default") and each[0] not in LENGTH)
        name = self.reference.first.as_reference
        return str(Method(name, tuple(each for each in own if each[1].lower() != name))) + lengths(self.reference)

    @property
    def flags(self) -> list[str]:
        """Warnings that belong to the verdict, or the reason why a reference is missing."""
        judgement = self.judgement
        flags = ["transductive: adapts to the test inputs"] if self.first.transductive else []
        if judgement is None:
            return [*flags, self.why_none] if self.why_none else flags
        flags += ["too few seeds"] if judgement.too_few_seeds else []
        flags += ["holds for this test set only"] if judgement.this_test_set_only else []
        if self.reference:
            unequal = (unequal_budget(self, self.reference), unequal_passes(self, self.reference))
            flags += [each for each in unequal if each]
        stopped = sum(run.stopped_early is not None for run in self.runs.values())
        flags += [f"{stopped} of {len(self.runs)} runs stopped early"] if stopped else []
        unpaired = len(self.runs) - judgement.seeds
        return [*flags, f"{plural(unpaired, 'seed')} missing in the reference"] if unpaired else flags

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
    """

    cells: Sequence[Cell]
    pairs: Sequence[Pair]

    @property
    def judged(self) -> list[Cell]:
        """Cells that have a verdict."""
        return [cell for cell in self.cells if cell.judgement]

    @property
    def corrected_over(self) -> int:
        """The number of comparisons that every p is corrected for."""
        return next((cell.judgement.comparisons for cell in self.cells if cell.judgement), 0)

    @property
    def methods(self) -> list[Method]:
        """Methods that transfer from a source, in the order of the cells."""
        return list(dict.fromkeys(cell.method for cell in self.cells if cell.pair.source and not cell.oracle))

    @property
    def parts(self) -> list["Comparison"]:
        """The comparisons of each task and metric, which are shown apart.

        Verdicts are those of the whole comparison: they are corrected for all comparisons.
        """
        together: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            together.setdefault((cell.kind, cell.metric.key), []).append(cell)
        if len(together) < 2:
            return [self]
        parts = []
        for cells in together.values():
            # A pair without results has no task of its own: it belongs to that of its target.
            own, targets = {cell.pair for cell in cells}, {cell.pair.target for cell in cells}
            pairs = [pair for pair in self.pairs if pair in own or pair.target in targets]
            parts.append(Comparison(cells, pairs))
        return parts

    @property
    def metric(self) -> Metric:
        """The metric of the first cell: of all cells, in a part."""
        return self.cells[0].metric if self.cells else metric_of("accuracy")

    @property
    def title(self) -> str:
        """What is predicted, and the metric."""
        return f"{self.cells[0].kind}: {self.metric.title}" if self.cells else ""

    @property
    def is_classification(self) -> bool:
        """Whether classes are predicted, one a sample."""
        return not self.cells or self.cells[0].kind == "classification"

    def at(self, method: Method, pair: Pair) -> Cell | None:
        """Return the cell of a method on a pair; None if there is none."""
        return next((cell for cell in self.cells if cell.method == method and cell.pair == pair), None)


def _kind(task: Mapping[str, Any]) -> str:
    """Return the kind of a task in words; for several tasks, with their names and kinds."""
    kind = task["kind"].replace("_", "-")
    inside = ", ".join(f"{name} ({_kind(each)})" for name, each in task.get("tasks", {}).items())
    return f"{kind} tasks: {inside}" if inside else kind
