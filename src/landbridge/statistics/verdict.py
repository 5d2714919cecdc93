"""The verdict per source-target pair: the source helps, the source harms (negative transfer), or undecided."""

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
    """Tuning budget of a method: the number of random trials, and the number of training steps of each trial."""

    trials: int
    steps: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdict on one source-target pair from its paired runs.

    Attributes:
        reference: Method that the gain is measured against, for example `scratch` or `source_only`.
        seeds: Number of paired seeds.
        gain: Mean gain over the seeds, in the unit of the gains; a positive gain means that the source helps.
        interval: Interval of the mean gain; None with one seed.
        p: Two-sided sign-flip p.
        adjusted_p: The p after Holm's correction over `pairs`.
        pairs: Number of declared pairs that the p was corrected for.
        too_few_seeds: Whether no outcome with this number of seeds could be significant.
        budget_mismatch: Whether method and reference had unequal tuning budgets; None if one budget is not given.
        verdict: `helps`, `harms` or `undecided`.
        reason: Text that explains the verdict.
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

    The p is corrected as if it were the smallest of `pairs` p values. This is strict. If runs of the other pairs
    exist, use `judge_all`.
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

    The verdict is `helps` or `harms` only if two conditions hold: the interval of the mean gain excludes 0, **and** the
    sign-flip p, after Holm's correction over all declared pairs, is at most 1 - level. Otherwise the verdict is
    `undecided`, with a reason.

    The interval shows how large the gain is. It assumes normally distributed gains, and at level 0.95 it is wrong for
    one pair in twenty. The p only assumes that without an effect both signs of a gain are equally likely. It keeps the
    probability of *any* false verdict at or below 1 - level.

    Args:
        gains: For each pair, score minus the reference's score per paired seed, shape (n,), n >= 1; higher is better.
        reference: Method that the gain is measured against: `scratch`, `target_only`, `source_only` or a strategy's
            name.
        pairs: Number of declared pairs, including pairs without runs, which count as p = 1. None means that all
            declared pairs are in `gains`.
        level: Confidence level of interval and verdict, in (0, 1).
        interval: `t_interval` or `studentised_bootstrap`; percentile intervals are too narrow below 20 seeds.
        budget: Tuning budget of the method.
        reference_budget: Tuning budget of the reference. Unequal budgets are flagged, but do not change the verdict.

    Raises:
        ValueError: If a pair has no gains or one that is not finite, `pairs` is smaller than the number of pairs given,
            or `level` is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not a confidence level; give a number between 0 and 1.")
    samples = {pair: as_sample(values, name=f"gains of {pair}") for pair, values in gains.items()}
    declared = len(samples) if pairs is None else pairs
    if declared < len(samples):
        raise ValueError(
            f"pairs: {declared} declared, but gains of {len(samples)} were given; declare at least {len(samples)}."
        )
    p_values = np.ones(declared)
    p_values[: len(samples)] = [sign_flip_test(sample) for sample in samples.values()]
    adjusted = holm(p_values)
    judgements = {}
    for i, (pair, sample) in enumerate(samples.items()):
        limits = interval(sample, level=level) if sample.size > 1 else None
        # With unequal numbers of seeds, Holm's factor for this pair depends on the p of the other pairs. Therefore
        # adjust the smallest possible p of this pair together with the actual p of the others.
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
