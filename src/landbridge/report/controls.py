"""Controls: runs that show which part of a method has gained something.

The reference of a cell says whether the method as a whole gains. A control lacks one idea of the method. If it gains as
much, that idea has no share in the gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.report.budgets import LENGTH
from landbridge.report.cells import Cell
from landbridge.report.runs import METHOD
from landbridge.statistics import Interval, t_interval


@dataclass(frozen=True)
class Control:
    """A cell beside its control.

    Attributes:
        cell: the control.
        gains: of the method over the control, by shared seed; higher is better.
    """

    cell: Cell
    gains: Sequence[float]

    @property
    def gain(self) -> float:
        """Mean gain over the shared seeds."""
        return sum(self.gains) / len(self.gains)

    @property
    def interval(self) -> Interval | None:
        """Student's t interval of the mean gain, not corrected for the number of cells; None for a single seed."""
        return t_interval(self.gains) if len(self.gains) > 1 else None


def control_of(cell: Cell, cells: Sequence[Cell], strategy: str | None = None) -> Control | None:
    """Return the control of a cell: its own ablation, else a simple strategy in the same setting; None without one.

    Args:
        cell: of a method that transfers and has a reference.
        cells: all cells of the report.
        strategy: name of the simple strategy, such as `adabn`; None: only ablations count.

    Example:
        `fixmatch strategy.weight=1` has the control `fixmatch strategy.weight=0`, and with `strategy="adabn"` the
        control of `fixmatch strategy.weight=0` is `adabn`.
    """
    if cell.reference is None:
        return None
    alike = [other for other in cells if other is not cell and other.pair == cell.pair and not other.oracle]
    alike = [other for other in alike if condition(other) == condition(cell) and other.runs.keys() & cell.runs.keys()]
    own = [other for other in alike if ablates(other, cell)]
    simple = [other for other in alike if strategy and other.method.strategy == strategy != cell.method.strategy]
    for other in (own or simple)[:1]:
        shared = sorted(other.runs.keys() & cell.runs.keys())
        return Control(other, [cell.runs[seed].merit - other.runs[seed].merit for seed in shared])
    return None


def ablates(cell: Cell, other: Cell) -> bool:
    """Return whether a cell is the other one with nothing changed but settings of the strategy that are 0 here.

    Example:
        `fixmatch strategy.weight=0` ablates `fixmatch strategy.weight=1`.
    """
    one, two = cell.first.settings, other.first.settings
    changed = [key for key in {**one, **two} if one.get(key) != two.get(key)]
    off = all(key.startswith("strategy.") and one.get(key) == "0" for key in changed)
    return cell.method.strategy == other.method.strategy and bool(changed) and off


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
    alike = [each for each in alike if not any(ablates(each, other) for other in alike)] or [cell]

    def setting(each: Cell) -> tuple[tuple[str, str], ...]:
        is_reference = each.first.is_source_only or each.first.is_target_only
        return tuple(pair for pair in each.method.variant if not (is_reference and pair[0] in LENGTH))

    return len({setting(each) for each in alike})
