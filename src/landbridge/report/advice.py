"""Advice on what to try next, by simple rules over the records, the most important advice first.

The first rules find problems of the comparison. The next rule recommends more seeds, and the last rules recommend
better alternatives. Hidden labels are used only to compare selection rules, and that advice is marked ORACLE.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from landbridge.report.alternatives import End, better_rule, cheaper, open_ends
from landbridge.report.cell_text import gain_text
from landbridge.report.cells import Cell, Comparison
from landbridge.report.collect import Collection
from landbridge.report.compare import AS_ONE
from landbridge.report.numbers import interval_text, plural
from landbridge.report.rules import RuleRow
from landbridge.statistics import LEAST_SEEDS
from landbridge.statistics.negative_transfer import WITHOUT_SOURCE

#: Most pieces of advice on the first screen.
MOST = 5
#: Most seeds to recommend. Gains that need more seeds are small compared with their variance.
MOST_SEEDS = 30
#: With fewer seeds the variance over seeds is too uncertain to recommend a number.
LEAST_KNOWN = 3
#: An axis is called too short if more than this share of its curves is highest at the same end.
CHANCE = 0.1


class Advice(NamedTuple):
    """One piece of advice.

    Attributes:
        says: the evidence and the recommendation.
        override: overrides to add to the command; empty if there are none.
    """

    says: str
    override: str = ""


def advise(found: Collection, comparison: Comparison, rules: Sequence[RuleRow]) -> list[Advice]:
    """Return at most `MOST` pieces of advice on what to try next.

    Args:
        found: the collected runs, including those without results.
        comparison: comparison of the runs.
        rules: results of the selection rules on the runs.
    """
    parts = comparison.parts

    def by_part(rule: Callable[[Comparison], Advice | None]) -> Advice | None:
        # Numbers of different tasks cannot be compared. The first task with advice has it.
        return next((each for part in parts if (each := rule(part))), None)

    every = (
        _finish(found),
        _add_a_reference(comparison),
        _equal_budgets(comparison),
        _more_seeds(comparison),
        by_part(_undo_harm),
        by_part(_widen_an_axis),
        by_part(lambda part: _take_another_rule(part, rules)),
        by_part(_take_the_cheaper),
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
    says += ". Repeat the same sweep command; it runs only the missing runs."
    return Advice(says, "hydra.launcher.retry_failed=true" if failed else "")


def _add_a_reference(comparison: Comparison) -> Advice | None:
    without = [cell for cell in comparison.cells if cell.why_none]
    if not without:
        alone = comparison.cells and not comparison.judged
        return Advice("Run a method that transfers from a source, with the same seeds and settings.") if alone else None
    ((reason, times),) = Counter(cell.why_none for cell in without).most_common(1)
    says = f"{plural(times, 'comparison')} without a verdict: {reason}."
    if reason.startswith("several"):
        return Advice(f"{says} Make a report on fewer folders.")
    most = [cell for cell in without if cell.why_none == reason]
    blind = any(cell.first.target_labels == 0 for cell in most)
    reference = "strategy=source_only" if blind else "source=null strategy=target_only"
    if " differs in " in reason:
        choices = most[0].first.record.choices
        groups = [group for group, name in AS_ONE.items() if name in reason and group in choices]
        reference += "".join(f" {group}={choices[group]}" for group in groups)
    return Advice(f"{says} Run a reference with the same seeds and settings.", reference)


def _equal_budgets(comparison: Comparison) -> Advice | None:
    unequal = [cell for cell in comparison.judged if cell.judgement and cell.judgement.budget_mismatch]
    if not unequal:
        return None
    (cell, other), *_ = [(cell, cell.reference) for cell in unequal if cell.reference]
    one, two = (f"{each.budget.trials} × {each.budget.steps}" for each in (cell, other))
    says = (
        f"{len(unequal)} of {plural(len(comparison.judged), 'comparison')} have unequal tuning budgets, such as "
        f"{cell.method} with {one} against {other.method} with {two} (settings × steps). Use the same budget for both."
    )
    return Advice(says, _of_equal_length(cell, other) if cell.trials == other.trials else "")


def _of_equal_length(cell: Cell, other: Cell) -> str:
    """Return the override that gives the shorter of two cells as many steps in all as the longer one."""
    short, long = sorted((cell, other), key=lambda each: each.budget.steps)
    if cell.first.steps != other.first.steps:
        return f"trainer.max_epochs={long.first.settings['trainer.max_epochs']}"
    # Both train equally long, but one of them continues a source model.
    epochs = float(short.first.settings["trainer.max_epochs"]) * long.budget.steps / short.budget.steps
    return f"strategy={short.method.strategy} trainer.max_epochs={round(epochs)}"


def _more_seeds(comparison: Comparison) -> Advice | None:
    undecided = [cell for cell in comparison.judged if cell.verdict == "undecided"]
    if not undecided:
        return None
    says = f"{len(undecided)} of {plural(len(comparison.judged), 'comparison')} undecided"
    if few := [cell for cell in undecided if cell.judgement and cell.judgement.too_few_seeds]:
        says += f", {len(few)} with fewer than the {LEAST_SEEDS} seeds needed"
    wanted = sorted(seeds for cell in undecided if (seeds := seeds_to_decide(cell)))
    if not wanted:
        return Advice(
            f"{says}. Not even {MOST_SEEDS} seeds decide one: gains are small for their variance over seeds and test "
            "items."
        )
    # This number of seeds decides half of the decidable comparisons. The other half needs the most seeds.
    enough = wanted[(len(wanted) - 1) // 2]
    decided = sum(seeds <= enough for seeds in wanted)
    says += (
        f". If true means and variances equal the observed ones, {enough} seeds decide {decided} of them, "
        f"each with a probability of about one half"
    )
    if beyond := len(undecided) - len(wanted):
        says += f"; {beyond} stay undecided even with {MOST_SEEDS} seeds"
    first = min(seed for cell in undecided for seed in cell.paired)
    return Advice(f"{says}.", f"seed=range({first},{first + enough})" if first else f"seed=range({enough})")


def seeds_to_decide(cell: Cell) -> int | None:
    """Return how many seeds would decide an undecided cell if mean and variances of its gains stayed equal.

    The number is larger than the cell's number of paired seeds. With fewer than `LEAST_KNOWN` paired seeds the variance
    over seeds is unknown, and the function returns the least number of a verdict. If more than `MOST_SEEDS` are
    required, the function returns None.
    """
    judgement = cell.judgement
    assert judgement
    if judgement.seeds < LEAST_KNOWN:
        return LEAST_SEEDS
    found = judgement.seeds_to_decide(MOST_SEEDS)
    return found and max(found, judgement.seeds + 1)


def _undo_harm(comparison: Comparison) -> Advice | None:
    harmed = [cell for cell in comparison.judged if cell.verdict == "harms"]
    if not harmed:
        return None
    worst = min(harmed, key=lambda cell: cell.gain)
    unit = worst.metric.gain_unit
    says = f"{worst.method} harms on {worst.pair}: {gain_text(worst)} {unit} over {worst.reference_name}."
    reference = worst.judgement.reference if worst.judgement else ""
    if reference not in WITHOUT_SOURCE:
        return Advice(f"{says} Use the source model without adaptation on this pair.", "strategy=source_only")
    alike = [cell for cell in comparison.judged if cell.pair.target == worst.pair.target]
    helpful = [cell for cell in alike if cell.method == worst.method and cell.verdict == "helps"]
    if helpful:
        other = max(helpful, key=lambda cell: cell.gain)
        return Advice(
            f"{says} From {other.pair.source} the same method helps: {gain_text(other)}.", _typed(other, "source")
        )
    unfrozen = worst.method.without("freeze.depth")
    whole = [cell for cell in alike if cell.pair == worst.pair and cell.method.without("freeze.depth") == unfrozen]
    tried = any(cell.first.settings.get("freeze.depth") == "0" for cell in whole)
    if "freeze.depth" in worst.first.settings and not tried:
        return Advice(f"{says} Train all stages, so that harmful source weights can change.", "freeze.depth=0")
    alone = "start=scratch" if reference == "scratch" else "source=null strategy=target_only"
    return Advice(f"{says} Train on the target alone, or use another source.", alone)


def _widen_an_axis(comparison: Comparison) -> Advice | None:
    cells = [cell for cell in comparison.cells if not cell.oracle]
    by_side: dict[tuple[str, bool], list[End]] = defaultdict(list)
    for end in open_ends(cells):
        by_side[end.key, end.upwards].append(end)
    # An interval at 95 % lies above 0 by chance in 1 of 40 curves at each end.
    by_side = {side: ends for side, ends in by_side.items() if len(ends) > CHANCE * ends[0].curves}
    if not by_side:
        return None
    (key, upwards), found = max(by_side.items(), key=lambda item: len(item[1]))
    end = max(found, key=lambda end: end.step)
    here, beside = (dict(cell.method.variant)[key] for cell in (end.cell, end.inner))
    better = "better than" if end.cell.metric.lower else "above"
    side, metric = "highest" if upwards else "lowest", end.cell.metric
    return Advice(
        f"The {side} tried value of {key} is the best on {len(found)} of {plural(end.curves, 'curve')}, such as "
        f"{end.cell.method.without(key)} on {end.cell.pair}: {key}={here} is {metric.change(end.step)} "
        f"{metric.gain_unit} {interval_text(end.interval, metric.change)} {better} {beside}. "
        "Widen the range of values.",
        f"{key}={end.beyond}",
    )


def _take_another_rule(comparison: Comparison, rows: Sequence[RuleRow]) -> Advice | None:
    cells = [cell for cell in comparison.cells if not cell.oracle]
    rows = [row for row in rows if row.pair in comparison.pairs]
    found = better_rule(cells, rows)
    if not found:
        return None
    write, unit = rows[0].metric.text, rows[0].metric.gain_unit
    return Advice(
        f"ORACLE: {found.used} picks epochs that are on average {write(found.regret)} {unit} below those that hidden "
        f"labels pick; {found.name} reduces this by {write(found.saved)} {unit} (Spearman correlation with the oracle "
        f"{found.correlation:+.2f}). Select by {found.name}, and confirm it on other pairs, because hidden labels of "
        f"these pairs chose it.",
        f"selection={found.name}",
    )


def _take_the_cheaper(comparison: Comparison) -> Advice | None:
    rows = [[cell for cell in comparison.cells if cell.pair == pair and not cell.oracle] for pair in comparison.pairs]
    found = [each for row in rows if row and (each := cheaper(row))]
    if not found:
        return None
    best = max(found, key=lambda each: each.times)
    one, two, metric = best.dear.method, best.cell.method, best.dear.metric
    return Advice(
        f"On {best.cell.pair}, {one} takes {best.times:.1f} times the seconds of {two}. "
        f"Its mean gain over {two} is {metric.change(best.gap)} {metric.gain_unit} "
        f"{interval_text(best.interval, metric.change)}. Use the cheaper method.",
        f"strategy={two.strategy}" if one.strategy != two.strategy else "",
    )


def _other_direction(comparison: Comparison) -> Advice | None:
    if len(comparison.pairs) != 1 or not comparison.judged:
        return None
    record = comparison.judged[0].first.record
    source, target = (record.choices.get(role) if role in record.data else None for role in ("source", "target"))
    says = (
        "There is only one pair. Its results may not hold for others: rankings can differ even between the two "
        "directions of a pair. Run other pairs."
    )
    return Advice(says, f"source={target} target={source}" if source and target else "")


def _typed(cell: Cell, part: str) -> str:
    """Return the overrides in the command of a cell's run that choose or configure a part, joined by spaces."""
    typed = [each for each in cell.first.record.overrides if each.partition("=")[0].partition(".")[0] == part]
    return " ".join(typed)
