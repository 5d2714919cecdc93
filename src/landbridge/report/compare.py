"""Comparison of each method with its reference on each pair, paired by seed, with a verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from landbridge.report.budgets import LENGTH, distance, unequal_budget
from landbridge.report.cells import Cell, Comparison
from landbridge.report.controls import no_claim, settings_tried
from landbridge.report.gains import gains_of
from landbridge.report.runs import METHOD, Method, Pair, Run
from landbridge.statistics import judge_all

#: Groups whose settings count as one difference, and its name: how training changes images, and the head.
AS_ONE = {"augment": "augmentation", "head": "head"}


def compare(runs: Iterable[Run], declared: Iterable[Run] = ()) -> Comparison:
    """Group runs by method and pair, find the reference of each group, and judge the gains.

    Args:
        runs: runs with test results.
        declared: runs without results; their comparisons count in Holm's correction.
    """
    groups: dict[tuple[Method, Pair], dict[int, Run]] = {}
    runs, declared = list(runs), list(declared)
    for run in runs:
        groups.setdefault((run.method, run.pair), {})[run.seed] = run
    cells = [Cell(method, pair, by_seed) for (method, pair), by_seed in groups.items()]
    cells.sort(key=lambda c: (c.pair.source is None, str(c.pair), not c.first.is_source_only, str(c.method)))
    for cell in cells:
        cell.oracle, cell.trials = _is_oracle(cell, cells), settings_tried(cell, cells)
    every = [*runs, *declared]
    methods = list({run.method: run for run in every}.values())
    for cell in cells:
        cell.no_claim = "an oracle" if cell.oracle else no_claim(cell.first, methods)
        cell.reference, cell.why_none = find_reference(cell, cells)
    pairs = sorted({run.pair for run in every if run.pair.source}, key=str)
    _judge(cells, _without_results(cells, [run for run in declared if not no_claim(run, methods)]))
    return Comparison(cells, pairs)


def find_reference(cell: Cell, cells: Sequence[Cell]) -> tuple[Cell | None, str]:
    """Return the reference of a cell and "", or None and the reason why there is no reference.

    A method that used target labels is compared with training on the same number of target labels alone. If there is
    no such cell, it is compared with `source_only`. A method that used no target labels is compared with `source_only`.
    All settings outside `METHOD` and `LENGTH` must be equal. Among several possible references the function takes the
    one that agrees with the cell in most parts of `METHOD`, of which an equal strategy has more weight. Among these it
    takes the one whose number of steps in all is nearest. A method that continues a source model of 300 steps for 300
    steps is compared with `source_only` of 600 steps, if there is one.

    Cells that make no claim get None and "": see `controls.no_claim`.

    Example:
        The cells are `dann` and `source_only` on `mnist → usps`. For `dann`, which used no target labels, the result
        is `(<cell of source_only>, "")`. If `source_only` was run with another learning rate, the result is
        `(None, "no source_only with equal optimizer.lr")`.
    """
    if cell.no_claim:
        return None, ""
    kinds = ["source_only"] if cell.first.target_labels == 0 else ["target_only", "source_only"]
    reasons: list[str] = []
    for kind in kinds:
        partners = [other for other in cells if not other.oracle and _is_reference(other, cell, kind)]
        equal = [other for other in partners if not differences(cell, other)]
        best = max((_agreement(cell, other) for other in equal), default=None)
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
            named = set(keys) <= {*AS_ONE.values()}
            differ = f"{kind} differs in {' and '.join(keys)}"
            reasons.append(differ if named else f"no {kind} with equal {', '.join(keys)}")
    return None, "; ".join(reasons) or f"no {' or '.join(kinds)} to compare with"


def _is_reference(other: Cell, cell: Cell, kind: str) -> bool:
    if kind == "source_only":
        return other.first.is_source_only and other.pair == cell.pair
    return other.first.is_target_only and other.pair.target == cell.pair.target


def differences(cell: Cell, other: Cell) -> list[str]:
    """Return the settings that differ between two cells, except those of the method and the length of training.

    All settings of a group in `AS_ONE` are one. A source model that was trained without the augmentation of the run
    differs in it. The head counts like any other setting: any head can be trained on the source alone, so that a method
    and its reference can always share it. What a strategy computes beside this head, such as a second head, is a part
    of the method.
    """
    one, two = cell.first.settings, other.first.settings
    # Source-only training uses no target labels, so their number may differ.
    free = {*LENGTH, *(["target_labels"] if other.first.is_source_only else [])}
    keys = [key for key in {**one, **two} if key.partition(".")[0] not in METHOD and key not in free]
    differ = [key for key in keys if one.get(key) != two.get(key)]
    named = [AS_ONE.get(key.partition(".")[0], key) for key in differ]
    unlike = one.get("augment", "null") != "null" and one.get("start.augment") != two.get("start.augment")
    return list(dict.fromkeys([*named, *([AS_ONE["augment"]] if unlike else [])]))


def _agreement(cell: Cell, other: Cell) -> tuple[float, ...]:
    """Return how well a reference fits a cell: first in its method, then in steps in all, then in planned length."""

    def node(run: Run, part: str) -> dict[str, str]:
        return {key: value for key, value in run.settings.items() if key == part or key.startswith(f"{part}.")}

    # The same strategy without the source is a better reference than another strategy.
    same = 2 * (cell.method.strategy == other.method.strategy)
    in_method, in_length = (
        sum(node(cell.first, part) == node(other.first, part) for part in parts) for parts in (METHOD, LENGTH)
    )
    return same + in_method, -distance(cell, other), in_length


def _is_oracle(cell: Cell, cells: Sequence[Cell]) -> bool:
    """Return whether hidden labels chose the cell's epoch, or it used more labels than every transferring method."""
    if cell.first.record.selection.get("oracle"):
        return True
    beside = [each for each in cells if each.pair.source and each.pair.target == cell.pair.target]
    if cell.pair.source or not beside:
        return False
    return cell.first.target_labels > max(each.first.target_labels for each in beside)


def _without_results(cells: Sequence[Cell], declared: Iterable[Run]) -> int:
    """Return how many of the declared comparisons have no result in any seed."""
    there = {(cell.method, cell.pair) for cell in cells}
    return len({(run.method, run.pair) for run in declared} - there)


def _judge(cells: Sequence[Cell], missing: int) -> None:
    """Judge each method against its reference, with Holm's correction over all comparisons of the report.

    Args:
        cells: All cells of the report.
        missing: Number of declared comparisons without results.
    """
    judged = [cell for cell in cells if cell.reference]
    gains = {i: gains_of(list(cell.paired.values())) for i, cell in enumerate(judged)}
    references = {i: cell.reference.first.as_reference for i, cell in enumerate(judged) if cell.reference}
    judgements = judge_all(gains, references=references, comparisons=len(judged) + missing)
    for i, cell in enumerate(judged):
        mismatch = cell.reference and bool(unequal_budget(cell, cell.reference))
        cell.judgement = replace(judgements[i], budget_mismatch=mismatch)
