"""The verdict per source-target pair: the source helps, harms (negative transfer), or the runs leave it undecided."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from landbridge.statistics.intervals import Interval, as_sample, t_interval
from landbridge.statistics.paired import holm, seeds_needed, sign_flip_test, smallest_possible_p

Verdict = Literal["helps", "harms", "undecided"]
Pair = TypeVar("Pair", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a method may spend on its tuning: random trials, and training steps in each."""

    trials: int
    steps: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the paired runs of one source-target pair say.

    Attributes:
        reference: What the gain is over, such as `scratch` or `source_only`.
        seeds: Number of paired seeds.
        gain: Mean gain over the seeds, in the unit of the gains; positive helps.
        interval: Interval of the mean gain; None with one seed.
        p: Two-sided sign-flip p.
        adjusted_p: The same after Holm's correction over `pairs`.
        pairs: Number of declared pairs that were corrected for.
        too_few_seeds: No outcome of so few seeds could have been significant.
        budget_mismatch: Method and reference were tuned with unequal budgets; None if either budget is not stated.
        verdict: `helps`, `harms` or `undecided`.
        reason: Why, in words.
    """

    reference: str
    seeds: int
    gain: float
    interval: Interval | None
    p: float
    adjusted_p: float
    pairs: int
    too_few_seeds: bool
    budget_mismatch: bool | None
    verdict: Verdict
    reason: str


def judge(
    gains: ArrayLike,
    *,
    reference: str,
    pairs: int = 1,
    level: float = 0.95,
    interval: Callable[..., Interval] = t_interval,
    budget: Budget | None = None,
    reference_budget: Budget | None = None,
) -> Judgement:
    """Judge one source-target pair; see `judge_all`.

    The p is corrected as if it were the smallest of `pairs`, which is strict: where the other pairs are known, use
    `judge_all`.
    """
    return judge_all(
        {"this pair": gains},
        reference=reference,
        pairs=pairs,
        level=level,
        interval=interval,
        budget=budget,
        reference_budget=reference_budget,
    )["this pair"]


def judge_all(
    gains: Mapping[Pair, ArrayLike],
    *,
    reference: str,
    pairs: int | None = None,
    level: float = 0.95,
    interval: Callable[..., Interval] = t_interval,
    budget: Budget | None = None,
    reference_budget: Budget | None = None,
) -> dict[Pair, Judgement]:
    """Judge every declared source-target pair of one method against one reference.

    A pair `helps` or `harms` only if two things agree: the interval of its mean gain excludes 0, **and** its sign-flip
    p, after Holm's correction over all declared pairs, is at most 1 - level. The interval says how large the gain is,
    but leans on normal gains and is wrong once in twenty for every pair. The p asks only that a gain without effect is
    as likely to carry either sign, and keeps the chance of *any* false verdict at or below 1 - level. Everything else
    is `undecided`, with the reason.

    Args:
        gains: For each pair, score minus the reference's score per paired seed, shape (n,), n >= 1; higher is better.
        reference: What the gain is over: `scratch`, `target_only`, `source_only` or a strategy's name.
        pairs: Number of declared pairs, if some of them have no runs yet: those count as p = 1. Default: all are given.
        level: Confidence level of interval and verdict, in (0, 1).
        interval: `t_interval` or `studentised_bootstrap`; percentile intervals are too narrow below 20 seeds.
        budget: What the method spent on tuning.
        reference_budget: What the reference spent on tuning. Inequality is flagged, and changes no verdict.

    Raises:
        ValueError: If a pair has no gains or one that is not finite, `pairs` is smaller than the number of pairs given,
            or `level` is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not a confidence level between 0 and 1.")
    samples = {pair: as_sample(values, name=f"gains of {pair}") for pair, values in gains.items()}
    declared = len(samples) if pairs is None else pairs
    if declared < len(samples):
        raise ValueError(f"pairs: {declared} declared, but gains of {len(samples)} were given.")
    p_values = np.ones(declared)
    p_values[: len(samples)] = [sign_flip_test(sample) for sample in samples.values()]
    adjusted = holm(p_values)
    judgements = {}
    for i, (pair, sample) in enumerate(samples.items()):
        limits = interval(sample, level=level) if sample.size > 1 else None
        # With unequal numbers of seeds, Holm's step depends on the other pairs: ask what the best case would give.
        best_case = p_values.copy()
        best_case[i] = smallest_possible_p(sample.size)
        too_few_seeds = bool(holm(best_case)[i] > 1 - level)
        verdict, reason = _decide(sample.size, limits, float(adjusted[i]), declared, level, too_few_seeds)
        judgements[pair] = Judgement(
            reference=reference,
            seeds=sample.size,
            gain=float(sample.mean()),
            interval=limits,
            p=float(p_values[i]),
            adjusted_p=float(adjusted[i]),
            pairs=declared,
            too_few_seeds=too_few_seeds,
            budget_mismatch=None if budget is None or reference_budget is None else budget != reference_budget,
            verdict=verdict,
            reason=reason,
        )
    return judgements


def _decide(
    seeds: int, interval: Interval | None, adjusted_p: float, pairs: int, level: float, too_few_seeds: bool
) -> tuple[Verdict, str]:
    alpha = f"{1 - level:.3g}"
    over = "" if pairs == 1 else f" over {pairs} pairs"
    if interval is None or too_few_seeds:
        few = "1 seed" if seeds == 1 else f"{seeds} seeds"
        return "undecided", f"{few} cannot reach p <= {alpha}{over} ({seeds_needed(pairs, 1 - level)} are needed)"
    limits = f"{100 * level:.4g} % interval [{interval.low:+.3g}, {interval.high:+.3g}]"
    if interval.contains(0):
        return "undecided", f"the {limits} contains 0"
    if adjusted_p > 1 - level:
        return "undecided", f"the {limits} excludes 0, but p = {adjusted_p:.3g}{over} is above {alpha}"
    return "helps" if interval.low > 0 else "harms", f"the {limits} excludes 0, and p = {adjusted_p:.3g}{over}"
