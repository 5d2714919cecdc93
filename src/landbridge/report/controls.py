"""Controls: runs that show which part of a method has gained something.

The reference of a cell says whether the method as a whole gains. A control lacks one idea of the method. If it gains as
much, that idea has no share in the gain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from landbridge.report.budgets import LENGTH
from landbridge.report.cells import Cell
from landbridge.report.gains import gain_over
from landbridge.report.runs import METHOD, Run
from landbridge.statistics import Estimate


@dataclass(frozen=True)
class Control:
    """A cell beside its control.

    Attributes:
        cell: the control.
        gain: mean gain of the method over the control, estimated as for a verdict: over the seeds that both have. Its
            interval is not corrected for the number of cells.
    """

    cell: Cell
    gain: Estimate


def control_of(cell: Cell, cells: Sequence[Cell], strategy: str | None = None) -> Control | None:
    """Return the control of a cell: its own ablation, else a simple strategy in the same setting; None without one.

    Args:
        cell: of a method that transfers and has a reference.
        cells: all cells of the report.
        strategy: name of the simple strategy, such as `adabn`; None: only ablations count.

    Example:
        `fixmatch strategy.weight=1` has the control `fixmatch strategy.weight=0`, and with `strategy="adabn"` the
        control of `dann` is `adabn`.
    """
    if cell.reference is None:
        return None
    alike = [other for other in cells if other is not cell and other.pair == cell.pair and not other.oracle]
    alike = [other for other in alike if condition(other) == condition(cell)]
    own = [other for other in alike if ablates(other.first, cell.first)]
    simple = [other for other in alike if strategy and other.method.strategy == strategy != cell.method.strategy]
    found = ((other, gain_over(cell, other)) for other in own or simple)
    return next((Control(other, gain) for other, gain in found if gain), None)


def ablates(run: Run, other: Run) -> bool:
    """Return whether a run is the other one with nothing changed but settings of the strategy that are 0 here.

    Example:
        `fixmatch strategy.weight=0` ablates `fixmatch strategy.weight=1`.
    """
    if run.method.strategy != other.method.strategy:
        return False
    one, two = run.settings, other.settings
    changed = [key for key in {**one, **two} if one.get(key) != two.get(key)]
    return bool(changed) and all(key.startswith("strategy.") and one.get(key) == "0" for key in changed)


def no_claim(run: Run, methods: Iterable[Run]) -> str:
    """Return why a run is no method whose gain is claimed; empty if it is one.

    Such runs get no verdict, and do not count in Holm's correction: references of all lengths and with all heads,
    ablations, and runs with an epoch that hidden labels chose.

    Args:
        run: a run of the report, with results or without.
        methods: a run of each method of the report.
    """
    if run.is_source_only or run.pair.source is None:
        return "a reference"
    if run.settings.get("selection") == "Oracle":
        return "an oracle"
    ablated = next((other for other in methods if ablates(run, other)), None)
    return f"an ablation of {ablated.method}" if ablated else ""


def condition(cell: Cell) -> dict[str, str]:
    """Return the settings that a method and its reference must share: all but those of the method and its length."""
    settings = cell.first.settings
    kept = {key: value for key, value in settings.items() if key.partition(".")[0] not in METHOD and key not in LENGTH}
    # Training on the source alone, and the oracle, read other numbers of target labels.
    kept.pop("target_labels", None)
    return kept


def settings_tried(cell: Cell, cells: Sequence[Cell]) -> int:
    """Return the number of settings of a cell's strategy on its pair that one could have chosen the best from.

    Only cells with an equal `condition` count, because no other could stand in the place of the cell. Ablations do not
    count, because they are there to explain another cell. The lengths of a reference count as one setting: each serves
    the methods that take as many steps.
    """
    strategy, mine = cell.method.strategy, condition(cell)
    alike = [each for each in cells if (each.method.strategy, each.pair) == (strategy, cell.pair)]
    alike = [each for each in alike if condition(each) == mine]
    alike = [each for each in alike if not any(ablates(each.first, other.first) for other in alike)] or [cell]

    def setting(each: Cell) -> tuple[tuple[str, str], ...]:
        is_reference = each.first.is_source_only or each.first.is_target_only
        return tuple(pair for pair in each.method.variant if not (is_reference and pair[0] in LENGTH))

    return len({setting(each) for each in alike})
