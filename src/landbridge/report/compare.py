"""Methods on pairs over seeds: each against its reference, paired by seed, with a verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from landbridge.record import unpack_correct
from landbridge.report.runs import METHOD, Method, Pair, Run
from landbridge.statistics import Budget, Interval, Judgement, hierarchical_bootstrap, judge_all, t_interval

#: Settings that may differ between a method and its reference and are flagged instead: the length of training.
LENGTH = ("trainer.max_epochs", "data.steps_per_epoch")
# Resampling test items of one cell takes 0.06 s with 1,000 draws; all cells together may take a few seconds.
DRAWS_IN_ALL, MOST_DRAWS, LEAST_DRAWS = 50_000, 1_000, 200


@dataclass
class Cell:
    """All seeds of one method on one pair.

    Attributes:
        method: strategy and varying settings.
        pair: source and target.
        runs: by seed.
        oracle: it saw what the methods that it stands beside cannot see.
        reference: what it is compared with, None where there is nothing to compare it with.
        why_none: in words, where there is no reference.
        judgement: the verdict over the seeds that both have.
        items: interval of the gain over seeds and then test items.
        trials: in how many settings its strategy was run on the pair.
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
        """Student's t interval of the mean score, None for a single seed."""
        return t_interval(self.scores) if len(self.runs) > 1 else None

    @property
    def first(self) -> Run:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]

    @property
    def shared_seeds(self) -> list[int]:
        """Seeds that its reference has too."""
        return sorted(self.runs.keys() & self.reference.runs.keys()) if self.reference else []

    @property
    def gains(self) -> list[float]:
        """Score minus the reference's, by shared seed."""
        return [self.runs[seed].score - self.reference.runs[seed].score for seed in self.shared_seeds]  # type: ignore[union-attr]

    @property
    def gain(self) -> float:
        """Mean gain over the shared seeds; nan where it has no verdict."""
        return self.judgement.gain if self.judgement else np.nan

    @property
    def verdict(self) -> str:
        """The word of the verdict; empty where it has none."""
        return self.judgement.verdict if self.judgement else ""

    @property
    def budget(self) -> Budget:
        """What its tuning may have used."""
        return Budget(self.trials, self.first.steps)

    @property
    def reference_name(self) -> str:
        """The reference, with those settings of its own that are not the cell's."""
        if not self.reference:
            return ""
        own = tuple(each for each in self.reference.method.variant if each not in self.method.variant)
        name = self.reference.first.as_reference
        return str(Method(name, tuple(each for each in own if each[1].lower() != name)))

    @property
    def flags(self) -> list[str]:
        """What a reader must know beside the verdict."""
        judgement = self.judgement
        flags = ["transductive: adapts to the test inputs"] if self.first.transductive else []
        if judgement is None:
            return [*flags, self.why_none] if self.why_none else flags
        flags += ["too few seeds for significance"] if judgement.too_few_seeds else []
        if judgement.budget_mismatch:
            flags.append("tuning budgets differ")
        unpaired = len(self.runs) - judgement.seeds
        return [*flags, f"{unpaired} seeds without a partner"] if unpaired else flags

    def median_cost(self, name: str) -> float | None:
        """The median over seeds of a cost in the record."""
        values = [run.record.cost[name] for run in self.runs.values() if run.record.cost.get(name) is not None]
        return float(np.median(values)) if values else None


@dataclass
class Comparison:
    """All cells of a report.

    Attributes:
        cells: in the order of pairs and methods, source-only first.
        pairs: declared source-target pairs, those without a finished run included.
        draws: resamples behind each interval over test items.
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
        """Methods that transfer, in the order in which they occur."""
        return list(dict.fromkeys(cell.method for cell in self.cells if cell.pair.source and not cell.oracle))

    def at(self, method: Method, pair: Pair) -> Cell | None:
        """Return a method's cell on a pair."""
        return next((cell for cell in self.cells if cell.method == method and cell.pair == pair), None)


def compare(runs: Iterable[Run], declared: Iterable[Run] = ()) -> Comparison:
    """Group runs by method and pair, find each group's reference, and judge.

    Args:
        runs: with test results.
        declared: runs without results; their pairs count in Holm's correction.
    """
    groups: dict[tuple[Method, Pair], dict[int, Run]] = {}
    runs = list(runs)
    for run in runs:
        groups.setdefault((run.method, run.pair), {})[run.seed] = run
    cells = [Cell(method, pair, by_seed) for (method, pair), by_seed in groups.items()]
    cells.sort(key=lambda c: (c.pair.source is None, str(c.pair), not c.first.is_source_only, str(c.method)))
    trials = Counter((cell.method.strategy, cell.pair) for cell in cells)
    for cell in cells:
        cell.oracle, cell.trials = _is_oracle(cell, cells), trials[cell.method.strategy, cell.pair]
    for cell in cells:
        cell.reference, cell.why_none = find_reference(cell, cells)
    pairs = sorted({run.pair for run in [*runs, *declared] if run.pair.source}, key=str)
    _judge(cells, len(pairs))
    judged = [cell for cell in cells if cell.judgement]
    draws = max(LEAST_DRAWS, min(MOST_DRAWS, DRAWS_IN_ALL // max(1, len(judged))))
    for cell in judged:
        cell.items = _over_items(cell, draws)
    return Comparison(cells, pairs, draws)


def find_reference(cell: Cell, cells: Sequence[Cell]) -> tuple[Cell | None, str]:
    """Return what a cell is compared with, or why there is nothing.

    A method that saw target labels is compared with training on as many of them alone; one that saw none, or that has
    no such partner, with `source_only`. Everything but the method itself must be equal. Among several partners the one
    that agrees in most of strategy, start, freezing, terms and length of training is taken.
    """
    if cell.pair.source is None or cell.oracle or cell.first.is_source_only:
        return None, ""
    kinds = ["source_only"] if cell.first.target_labels == 0 else ["target_only", "source_only"]
    reasons: list[str] = []
    for kind in kinds:
        partners = [other for other in cells if not other.oracle and _is_reference(other, cell, kind)]
        equal = [other for other in partners if not differences(cell, other)]
        best = max((_agreement(cell, other) for other in equal), default=0)
        nearest = [other for other in equal if _agreement(cell, other) == best]
        shared = [other for other in nearest if other.runs.keys() & cell.runs.keys()]
        if len(shared) == 1:
            return shared[0], ""
        if len(shared) > 1:
            reasons.append(f"several {kind} runs could be its reference")
        elif nearest:
            reasons.append(f"no seed in common with {kind}")
        elif partners:
            keys = min((differences(cell, other) for other in partners), key=len)
            reasons.append(f"no {kind} with equal {', '.join(keys)}")
    return None, "; ".join(reasons) or f"no {' or '.join(kinds)} to compare with"


def _is_reference(other: Cell, cell: Cell, kind: str) -> bool:
    if kind == "source_only":
        return other.first.is_source_only and other.pair == cell.pair
    return other.first.is_target_only and other.pair.target == cell.pair.target


def differences(cell: Cell, other: Cell) -> list[str]:
    """Name the settings in which a cell and its reference differ though they should not."""
    one, two = cell.first.settings, other.first.settings
    # Source-only trains on no target label, however many there are.
    free = {*LENGTH, *(["target_labels"] if other.first.is_source_only else [])}
    keys = [key for key in {**one, **two} if key.partition(".")[0] not in METHOD and key not in free]
    return [key for key in keys if one.get(key) != two.get(key)]


def _agreement(cell: Cell, other: Cell) -> int:
    def node(run: Run, part: str) -> dict[str, str]:
        return {key: value for key, value in run.settings.items() if key == part or key.startswith(f"{part}.")}

    # The same algorithm without the source counts for more than another one.
    same = 2 * (cell.method.strategy == other.method.strategy)
    return same + sum(node(cell.first, part) == node(other.first, part) for part in (*METHOD, *LENGTH))


def _is_oracle(cell: Cell, cells: Sequence[Cell]) -> bool:
    """Whether a cell's epoch was chosen by hidden labels, or it saw more labels than any method that transfers."""
    if cell.first.record.selection.get("oracle"):
        return True
    beside = [each for each in cells if each.pair.source and each.pair.target == cell.pair.target]
    if cell.pair.source or not beside:
        return False
    return cell.first.target_labels > max(each.first.target_labels for each in beside)


def _judge(cells: Sequence[Cell], pairs: int) -> None:
    """Judge every method against every reference that it has, with Holm's correction over all declared pairs."""
    families: dict[tuple[Method, str], list[Cell]] = {}
    for cell in cells:
        if cell.reference:
            families.setdefault((cell.method, cell.reference.first.as_reference), []).append(cell)
    for (_, reference), family in families.items():
        judgements = judge_all({cell.pair: cell.gains for cell in family}, reference=reference, pairs=pairs)
        for cell in family:
            mismatch = cell.reference and cell.budget != cell.reference.budget
            cell.judgement = replace(judgements[cell.pair], budget_mismatch=mismatch)


def _over_items(cell: Cell, draws: int) -> Interval | None:
    assert cell.reference
    pairs = [(cell.runs[seed], cell.reference.runs[seed]) for seed in cell.shared_seeds]
    tests = [[run.record.results["target"] for run in pair] for pair in pairs]
    if cell.first.metric != "accuracy" or any("correct" not in test for both in tests for test in both):
        return None
    right = [[unpack_correct(test).astype(int) for test in both] for both in tests]
    if len({len(each) for both in right for each in both}) > 1:
        return None
    return hierarchical_bootstrap([one - two for one, two in right], draws=draws, shared_items=True)
