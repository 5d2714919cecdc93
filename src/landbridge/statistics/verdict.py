"""The verdict on a gain over a reference: the source helps, the source harms, or undecided."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from landbridge.statistics.estimate import Estimate, estimate
from landbridge.statistics.gains import Gains
from landbridge.statistics.intervals import Interval
from landbridge.statistics.many import holm

Verdict = Literal["helps", "harms", "undecided"]
Key = TypeVar("Key", bound=Hashable)
#: With fewer seeds every verdict is `undecided`. The rates of false verdicts in the documentation begin here.
LEAST_SEEDS = 5
#: Largest number of seeds that is worth recommending.
MOST_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Budget:
    """Tuning budget of a method: the number of random trials, and the number of training steps of each trial."""

    trials: int
    steps: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdict on one comparison of a method with its reference.

    Attributes:
        reference: Method that the gain is measured against, for example `scratch` or `source_only`.
        seeds: Number of paired seeds.
        gain: Mean gain over the seeds, in the unit of the gains; a positive gain means that the source helps.
        estimate: The mean gain with the parts of its variance.
        interval: Interval of the mean gain, not corrected for other comparisons; None if its variance is not known.
        p: Two-sided p of a mean gain of zero. It is at most 1 - level if the interval excludes 0.
        adjusted_p: The p after Holm's correction over `comparisons`.
        comparisons: Number of comparisons that the p was corrected for.
        level: Confidence level of the interval and the verdict.
        this_test_set_only: Whether the gain may differ on other test items: all seeds shared one test set, and gains of
            items are not known.
        budget_mismatch: Whether method and reference had unequal tuning budgets; None if this is not known.
        verdict: `helps`, `harms` or `undecided`.
        reason: Text that explains the verdict.
    """

    reference: str
    seeds: int
    gain: float
    estimate: Estimate
    interval: Interval | None
    p: float
    adjusted_p: float
    comparisons: int
    level: float
    this_test_set_only: bool
    budget_mismatch: bool | None
    verdict: Verdict
    reason: str

    @property
    def too_few_seeds(self) -> bool:
        """Whether there are fewer than `LEAST_SEEDS` seeds, so that no gain could be decided."""
        return self.seeds < LEAST_SEEDS

    def seeds_to_decide(self, most: int = MOST_SEEDS) -> int | None:
        """Return the smallest number of seeds that decides this comparison, if its mean and variances stay equal.

        The p then is significant also if it is the smallest of all comparisons (Bonferroni). New seeds have slightly
        other gains, so the returned number decides with a probability of about one half.

        Args:
            most: The largest number of seeds to consider.

        Returns:
            A number from `LEAST_SEEDS` to `most`; None if `most` seeds are not enough, for example because the test set
            is too small for so small a gain. With one seed no variance is known, so that the answer is `LEAST_SEEDS`.
        """
        if self.seeds < 2:
            return LEAST_SEEDS
        level = 1 - (1 - self.level) / self.comparisons
        numbers = range(LEAST_SEEDS, most + 1) if self.estimate.is_known else ()
        return next((n for n in numbers if self.estimate.half_width(level, n) < abs(self.gain)), None)


def judge(gains: Gains | ArrayLike, *, reference: str, comparisons: int = 1, level: float = 0.95) -> Judgement:
    """Judge one comparison; see `judge_all`.

    The p is corrected as if it were the smallest of `comparisons` p values. This is strict. If runs of the other
    comparisons exist, use `judge_all`.
    """
    return judge_all({"this": gains}, references=reference, comparisons=comparisons, level=level)["this"]


def judge_all(
    gains: Mapping[Key, Gains | ArrayLike],
    *,
    references: str | Mapping[Key, str],
    comparisons: int | None = None,
    level: float = 0.95,
) -> dict[Key, Judgement]:
    """Judge all comparisons that are reported together.

    The verdict is `helps` or `harms` if the p of a mean gain of zero, after Holm's correction over all comparisons, is
    at most 1 - level, and there are at least `LEAST_SEEDS` seeds. Otherwise it is `undecided`, with a reason. The
    variance of a gain counts seeds and test items as drawn at random, see `estimate`. So the verdict is about new seeds
    and new test items of the same domain. The correction keeps the probability of *any* false verdict at or below
    1 - level, whatever the comparisons have in common, as far as each p is right: strongly skewed seeds make it too
    small.

    Args:
        gains: For each comparison, the gains. A plain list holds a gain for each seed, all on one test set.
        references: Method that the gains are measured against, the same for all or one for each comparison: `scratch`,
            `target_only`, `source_only` or a strategy's name.
        comparisons: Number of comparisons, including declared ones without runs, which count as p = 1. None means that
            all of them are in `gains`.
        level: Confidence level of interval and verdict, in (0, 1).

    Raises:
        ValueError: If gains are missing or not finite, `comparisons` is smaller than the number given, or `level` is
            out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not a confidence level; give a number between 0 and 1.")
    given = {key: _as_gains(key, own) for key, own in gains.items()}
    declared = len(given) if comparisons is None else comparisons
    if declared < len(given):
        raise ValueError(f"comparisons: {declared} declared, but {len(given)} given; declare at least {len(given)}.")
    found = {key: estimate(own) for key, own in given.items()}
    p_values = np.ones(declared)
    p_values[: len(found)] = [each.p for each in found.values()]
    return {
        key: _judgement(
            references if isinstance(references, str) else references[key],
            own,
            found[key],
            (float(p), float(adjusted_p)),
            declared,
            level,
        )
        for (key, own), p, adjusted_p in zip(given.items(), p_values, holm(p_values), strict=False)
    }


def _as_gains(key: object, gains: Gains | ArrayLike) -> Gains:
    try:
        return gains if isinstance(gains, Gains) else Gains.of_scores(gains)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _judgement(
    reference: str, gains: Gains, found: Estimate, p_values: tuple[float, float], comparisons: int, level: float
) -> Judgement:
    p, adjusted_p = p_values
    interval = found.interval(level)
    one_test_set = gains.values is None and gains.test_ratio == 0
    verdict, reason = _decide(found, interval, adjusted_p, comparisons, level)
    return Judgement(
        reference=reference,
        seeds=found.seeds,
        gain=found.mean,
        estimate=found,
        interval=interval,
        p=p,
        adjusted_p=adjusted_p,
        comparisons=comparisons,
        level=level,
        this_test_set_only=one_test_set,
        budget_mismatch=None,
        verdict=verdict,
        reason=reason + ("; on this test set only" if one_test_set and verdict != "undecided" else ""),
    )


def _decide(
    found: Estimate, interval: Interval | None, adjusted_p: float, comparisons: int, level: float
) -> tuple[Verdict, str]:
    alpha = f"{1 - level:.3g}"
    if found.seeds < LEAST_SEEDS:
        few = "1 seed is" if found.seeds == 1 else f"{found.seeds} seeds are"
        return "undecided", f"{few} too few ({LEAST_SEEDS} are needed)"
    if interval is None:
        return "undecided", f"all gains are {found.mean:.3g}, so their variance is not known"
    limits = f"{100 * level:.4g} % interval [{interval.low:+.3g}, {interval.high:+.3g}]"
    if interval.contains(0):
        return "undecided", f"the {limits} contains 0"
    over = "" if comparisons == 1 else f" over {comparisons} comparisons"
    if adjusted_p > 1 - level:
        return "undecided", f"the {limits} excludes 0, but p = {adjusted_p:.3g}{over} is above {alpha}"
    return "helps" if found.mean > 0 else "harms", f"the {limits} excludes 0, and p = {adjusted_p:.3g}{over}"
