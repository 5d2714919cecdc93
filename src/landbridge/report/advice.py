"""What to try next: simple rules over what the records say, the most pressing first.

First comes what spoils the comparison, then how to be surer, then what may do better. Hidden labels recommend no method
and no setting; they judge selection rules alone, and that advice says ORACLE.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from landbridge.report.alternatives import LEAST_SEEDS, End, better_rule, cheaper, open_ends
from landbridge.report.cells import Cell, Comparison
from landbridge.report.collect import Collection
from landbridge.report.numbers import gain_text, interval_text, percent, plural, points
from landbridge.report.rules import RuleRow
from landbridge.statistics import seeds_needed, seeds_to_exclude_zero
from landbridge.statistics.negative_transfer import WITHOUT_SOURCE

#: Sentences on the first screen.
MOST = 5
#: More seeds than this are not advised: what they would show is small beside its spread.
MOST_SEEDS = 30
#: The share of curves that must be highest at one end before an axis is called too short.
CHANCE = 0.1


class Advice(NamedTuple):
    """One thing to try.

    Attributes:
        says: the evidence, and what follows from it.
        override: what to add to the command, where there is such a thing.
    """

    says: str
    override: str = ""


def advise(found: Collection, comparison: Comparison, rules: Sequence[RuleRow]) -> list[Advice]:
    """Return what to try next, at most `MOST` things.

    Args:
        found: the runs, for those without a result.
        comparison: of the runs.
        rules: how selection rules did on them.
    """
    cells = [cell for cell in comparison.cells if not cell.oracle]
    every = (
        _finish(found),
        _add_a_reference(comparison),
        _equal_budgets(comparison),
        _more_seeds(comparison),
        _undo_harm(comparison),
        _widen_an_axis(cells),
        _take_another_rule(cells, rules),
        _take_the_cheaper(comparison),
        _other_direction(comparison),
    )
    return [each for each in every if each][:MOST]


def _finish(found: Collection) -> Advice | None:
    if not found.unfinished:
        return None
    failed = [run.record.reason or "" for run in found.unfinished if run.record.status == "failed"]
    says = f"{len(found.unfinished)} of {plural(len(found.runs) + len(found.unfinished), 'run')} have no result"
    if failed:
        ((reason, _),) = Counter(each.partition("\n")[0] for each in failed).most_common(1)
        says += f"; {len(failed)} failed, most often with “{reason}”"
    says += ". The same sweep command runs what is missing and leaves the rest alone."
    return Advice(says, "hydra.launcher.retry_failed=true" if failed else "")


def _add_a_reference(comparison: Comparison) -> Advice | None:
    without = [cell for cell in comparison.cells if cell.why_none]
    if not without:
        alone = comparison.cells and not comparison.judged
        return Advice("Run a method that transfers beside these, with the same seeds and settings.") if alone else None
    ((reason, times),) = Counter(cell.why_none for cell in without).most_common(1)
    says = f"{plural(times, 'cell')} without a verdict: {reason}."
    if reason.startswith("several"):
        return Advice(f"{says} Report on fewer folders.")
    blind = any(cell.why_none == reason and cell.first.target_labels == 0 for cell in without)
    reference = "strategy=source_only" if blind else "source=null strategy=target_only"
    return Advice(f"{says} Run a reference with the same seeds and settings.", reference)


def _equal_budgets(comparison: Comparison) -> Advice | None:
    unequal = [cell for cell in comparison.judged if cell.judgement and cell.judgement.budget_mismatch]
    if not unequal:
        return None
    (cell, other), *_ = [(cell, cell.reference) for cell in unequal if cell.reference]
    one, two = (f"{each.budget.trials} × {each.budget.steps}" for each in (cell, other))
    says = (
        f"{len(unequal)} of {plural(len(comparison.judged), 'comparison')} are of unequal tuning budgets, such as "
        f"{cell.method} with {one} against {other.method} with {two} (settings × steps). Give both the same."
    )
    longer = max(cell, other, key=lambda each: each.first.steps)
    epochs = longer.first.settings["trainer.max_epochs"]
    return Advice(says, f"trainer.max_epochs={epochs}" if cell.trials == other.trials else "")


def _more_seeds(comparison: Comparison) -> Advice | None:
    undecided = [cell for cell in comparison.judged if cell.verdict == "undecided"]
    if not undecided:
        return None
    pairs = len(comparison.pairs)
    says = f"{len(undecided)} of {plural(len(comparison.judged), 'comparison')} undecided"
    if few := [cell for cell in undecided if cell.judgement and cell.judgement.too_few_seeds]:
        says += f", {len(few)} with fewer than the {seeds_needed(pairs)} seeds needed over {plural(pairs, 'pair')}"
    wanted = sorted(seeds for cell in undecided if (seeds := seeds_to_decide(cell, pairs)))
    if not wanted:
        return Advice(f"{says}. Not even {MOST_SEEDS} seeds decide any: gains are small beside their spread.")
    # As many as decide half of what can be decided: the rest would cost the most.
    enough = wanted[(len(wanted) - 1) // 2]
    decided = sum(seeds <= enough for seeds in wanted)
    says += f". If true gains and spreads are as seen, {enough} seeds decide {decided} of them at about even odds"
    if beyond := len(undecided) - len(wanted):
        says += f"; {beyond} stay undecided with {MOST_SEEDS}"
    first = min(seed for cell in undecided for seed in cell.paired)
    return Advice(f"{says}.", f"seed=range({first},{first + enough})" if first else f"seed=range({enough})")


def seeds_to_decide(cell: Cell, pairs: int) -> int | None:
    """Return how many seeds would decide an undecided cell if mean and spread of its gains stayed.

    No fewer than Holm's correction needs over so many pairs, and more than it has; None beyond `MOST_SEEDS`. With
    fewer than `LEAST_SEEDS` the spread is unknown, and this minimum is all that can be said.
    """
    least = max(seeds_needed(pairs), len(cell.gains) + 1)
    if len(cell.gains) < LEAST_SEEDS:
        return least
    by_spread = seeds_to_exclude_zero(cell.gains, 1 - 0.05 / pairs, MOST_SEEDS)
    return by_spread and max(least, by_spread)


def _undo_harm(comparison: Comparison) -> Advice | None:
    harmed = [cell for cell in comparison.judged if cell.verdict == "harms"]
    if not harmed:
        return None
    worst = min(harmed, key=lambda cell: cell.gain)
    says = f"{worst.method} harms on {worst.pair}: {gain_text(worst)} points over {worst.reference_name}."
    reference = worst.judgement.reference if worst.judgement else ""
    if reference not in WITHOUT_SOURCE:
        return Advice(f"{says} Keep the source model as it is there.", "strategy=source_only")
    alike = [cell for cell in comparison.judged if cell.pair.target == worst.pair.target]
    helpful = [cell for cell in alike if cell.method == worst.method and cell.verdict == "helps"]
    if helpful:
        other = max(helpful, key=lambda cell: cell.gain)
        return Advice(f"{says} From {other.pair.source} it helps, {gain_text(other)}.", _typed(other, "source"))
    unfrozen = worst.method.without("freeze.depth")
    whole = [cell for cell in alike if cell.pair == worst.pair and cell.method.without("freeze.depth") == unfrozen]
    tried = any(cell.first.settings.get("freeze.depth") == "0" for cell in whole)
    if "freeze.depth" in worst.first.settings and not tried:
        return Advice(f"{says} Let all stages train, so that they can leave what the source taught.", "freeze.depth=0")
    alone = "start=scratch" if reference == "scratch" else "source=null strategy=target_only"
    return Advice(f"{says} Train on the target alone, or take another source.", alone)


def _widen_an_axis(cells: Sequence[Cell]) -> Advice | None:
    by_side: dict[tuple[str, bool], list[End]] = defaultdict(list)
    for end in open_ends(cells):
        by_side[end.key, end.upwards].append(end)
    # Chance alone would raise one curve in forty at either end.
    by_side = {side: ends for side, ends in by_side.items() if len(ends) > CHANCE * ends[0].curves}
    if not by_side:
        return None
    (key, upwards), found = max(by_side.items(), key=lambda item: len(item[1]))
    end = max(found, key=lambda end: end.step)
    here, beside = (dict(cell.method.variant)[key] for cell in (end.cell, end.inner))
    side = "highest" if upwards else "lowest"
    return Advice(
        f"The {side} {key} tried is the best on {len(found)} of {plural(end.curves, 'curve')}, such as "
        f"{end.cell.method.without(key)} on {end.cell.pair}: {key}={here} is {points(end.step)} points "
        f"{interval_text(end.interval, points)} above {beside}. Widen the axis.",
        f"{key}={end.beyond}",
    )


def _take_another_rule(cells: Sequence[Cell], rows: Sequence[RuleRow]) -> Advice | None:
    found = better_rule(cells, rows)
    if not found:
        return None
    return Advice(
        f"ORACLE: {found.used} picks epochs {percent(found.regret)} points below the best ones, {found.name} "
        f"{percent(found.saved)} less (Spearman {found.correlation:+.2f}). Select by it, and judge it again on pairs "
        f"that did not choose it.",
        f"selection={found.name}",
    )


def _take_the_cheaper(comparison: Comparison) -> Advice | None:
    rows = [[cell for cell in comparison.cells if cell.pair == pair and not cell.oracle] for pair in comparison.pairs]
    found = [each for row in rows if row and (each := cheaper(row))]
    if not found:
        return None
    best = max(found, key=lambda each: each.times)
    one, two = best.dear.method, best.cell.method
    return Advice(
        f"On {best.cell.pair}, {one} takes {best.times:.1f} times the seconds of {two} and gains "
        f"{points(best.gap)} points {interval_text(best.interval, points)} over it. Take the cheaper.",
        f"strategy={two.strategy}" if one.strategy != two.strategy else "",
    )


def _other_direction(comparison: Comparison) -> Advice | None:
    if len(comparison.pairs) != 1 or not comparison.judged:
        return None
    record = comparison.judged[0].first.record
    source, target = (record.choices.get(role) if role in record.data else None for role in ("source", "target"))
    says = "One pair tells nothing of the next: rankings turn round even between the two directions of one. Run others."
    return Advice(says, f"source={target} target={source}" if source and target else "")


def _typed(cell: Cell, part: str) -> str:
    """Return what was typed to choose and set a part of a cell's runs."""
    typed = [each for each in cell.first.record.overrides if each.partition("=")[0].partition(".")[0] == part]
    return " ".join(typed)
