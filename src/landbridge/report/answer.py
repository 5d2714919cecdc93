"""The answer in sentences: what was compared, whether transfer helped, and how certain the result is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.report.cells import Cell, Comparison
from landbridge.report.collect import Collection
from landbridge.report.numbers import interval_text, plural
from landbridge.statistics import excess_of_the_best, gap_name, negative_transfer_ratio
from landbridge.statistics.negative_transfer import WITHOUT_SOURCE


@dataclass
class Answer:
    """The answer on the first screen of the page.

    Attributes:
        headline: one sentence.
        sentences: the results that support the headline.
    """

    headline: str
    sentences: list[str]


def answer(comparison: Comparison) -> Answer:
    """Summarise the verdicts in sentences."""
    judged = comparison.judged
    if not judged:
        return Answer("Nothing can be compared yet.", _why_nothing(comparison))
    verdicts = Counter(cell.verdict for cell in judged)
    helps, harms, undecided = (verdicts[verdict] for verdict in ("helps", "harms", "undecided"))
    all_of_them = plural(len(judged), "comparison")
    if helps or harms:
        harmful = [cell.judgement for cell in judged if cell.judgement and cell.verdict == "harms"]
        alone = [judgement for judgement in harmful if judgement.reference in WITHOUT_SOURCE]
        some = "" if len(alone) == harms else f"{len(alone)} times "
        named = f" ({some}negative transfer)" if alone else ""
        headline = f"Transfer helps in {helps} of {all_of_them} and harms in {harms}{named}; {undecided} undecided"
    else:
        headline = f"Undecided: none of {all_of_them} shows that transfer helps or harms"
    headline += f" (corrected over {plural(over, 'comparison')})." if (over := comparison.corrected_over) > 1 else "."
    return Answer(headline, [*_by_pair(comparison), *_ratio(judged)])


def _why_nothing(comparison: Comparison) -> list[str]:
    reasons = Counter(cell.why_none for cell in comparison.cells if cell.why_none)
    return [f"{plural(times, 'method')}: {reason}." for reason, times in reasons.most_common(3)]


def _by_pair(comparison: Comparison) -> list[str]:
    sentences = []
    for pair in comparison.pairs:
        cells = [cell for cell in comparison.judged if cell.pair == pair]
        if not cells:
            sentences.append(f"{pair}: no comparison yet.")
            continue
        if len(cells) == 1:
            sentences.append(f"{pair}: {_with_gain(cells[0])}.")
            continue
        verdicts = Counter(cell.verdict for cell in cells)
        largest = max(cells, key=lambda cell: cell.gain)
        found = ", ".join(f"{verdicts[name]} {name}" for name in ("helps", "harms", "undecided") if verdicts[name])
        sentence = f"{pair}: {found}. Largest mean gain: {_with_gain(largest)}.{_of_the_best(cells)}"
        if verdicts["harms"]:
            worst = min(cells, key=lambda cell: cell.gain)
            sentence += f" Largest loss: {_with_gain(worst)}."
        sentences.append(sentence)
    return sentences


def _of_the_best(cells: Sequence[Cell]) -> str:
    """Return a sentence on how much of the largest gain may be due to the choice of the largest."""
    known = [cell.judgement.estimate.error for cell in cells if cell.judgement and cell.judgement.interval]
    if len(known) < 2:
        return ""
    metric = cells[0].metric
    excess = metric.change(excess_of_the_best(known)).lstrip("+")
    return (
        f" It is the largest of {len(cells)}: this choice alone may add up to {excess} {metric.gain_unit} on average."
    )


def _ratio(judged: Sequence[Cell]) -> list[str]:
    alone = [cell.judgement for cell in judged if cell.judgement and cell.judgement.reference in WITHOUT_SOURCE]
    if len(alone) < 2:
        return []
    ratio = negative_transfer_ratio(alone)
    low, high = 100 * ratio.interval.low, 100 * ratio.interval.high
    return [
        f"Negative transfer ratio, uncorrected: in {ratio.harmed} of {ratio.pairs} comparisons with training on the "
        f"target alone, the interval is below 0 ({100 * ratio.share:.0f} % [{low:.0f}, {high:.0f}])."
    ]


def _with_gain(cell: Cell) -> str:
    judgement = cell.judgement
    assert judgement
    gap = f" ({gap_name(judgement.reference)})" if judgement.verdict == "harms" else ""
    write = cell.metric.change
    interval = interval_text(judgement.interval, write, judgement.seeds)
    gain = f"{write(judgement.gain)} {cell.metric.gain_unit} {interval} over {cell.reference_name}"
    return f"{cell.method} {gain}, {judgement.verdict}{gap}"


def compared(found: Collection, comparison: Comparison) -> list[tuple[str, str]]:
    """Return the compared pairs, strategies, seeds and settings, as names and values."""
    runs = [run for cell in comparison.cells if not cell.oracle for run in cell.runs.values()]
    strategies = sorted({run.strategy for run in found.runs})
    seeds = sorted({run.seed for run in runs})
    steady = {key: {run.settings.get(key, "default") for run in runs} for key in ("backbone", "target_labels")}
    for run in runs:
        steady.setdefault("selection", set()).add(run.record.selection.get("rule", "?"))
        steady.setdefault("steps", set()).add(str(run.steps))
    revisions = {str(run.record.environment.get("git")) for run in runs}
    facts = [
        ("pairs", ", ".join(map(str, comparison.pairs)) or "none"),
        ("strategies", f"{len(strategies)}: {', '.join(strategies)}"),
        ("seeds", ", ".join(map(str, seeds)) if len(seeds) < 13 else f"{len(seeds)}, from {seeds[0]} to {seeds[-1]}"),
        *((key, ", ".join(sorted(values))) for key, values in steady.items()),
    ]
    if len(revisions) > 1:
        facts.append(("code", f"{len(revisions)} revisions of landbridge (column git of runs.csv)"))
    return [(name, value) for name, value in facts if value]
