"""Negative transfer: the gap and its name, and the share of pairs for which the source harms."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landbridge.statistics.intervals import Interval, as_sample, wilson_interval
from landbridge.statistics.verdict import Judgement

WITHOUT_SOURCE = ("scratch", "target_only")
"""References that train on the target alone. Only a gap to one of these references is negative transfer."""


@dataclass(frozen=True, slots=True)
class NegativeTransferRatio:
    """Share of pairs for which the source harms.

    Attributes:
        harmed: Number of pairs whose interval of the gain is entirely below 0.
        pairs: Number of pairs.
        interval: Wilson interval of the share.
    """

    harmed: int
    pairs: int
    interval: Interval

    @property
    def share(self) -> float:
        """The share of harmed pairs, in [0, 1]."""
        return self.harmed / self.pairs


def negative_transfer_gap(error_with_source: ArrayLike, error_alone: ArrayLike) -> NDArray[np.float64]:
    """Compute the target error with the source minus the target error of the same algorithm without the source.

    A positive gap is negative transfer: the source harms (Wang et al. 2019, arXiv:1811.09751). Tables show the gain,
    which is the negative of the gap.

    Args:
        error_with_source: Target error of A(S, T), one per paired seed, shape (n,).
        error_alone: Target error of A(none, T) for the same seeds and splits, tuned with the same budget, shape (n,).

    Returns:
        The gap per seed, shape (n,), in the unit of the errors.

    Raises:
        ValueError: If the two arrays have unequal lengths, or a value is not finite.
    """
    with_source = as_sample(error_with_source, name="error_with_source")
    alone = as_sample(error_alone, name="error_alone")
    if with_source.size != alone.size:
        raise ValueError(
            f"errors: {with_source.size} runs with and {alone.size} without the source cannot be paired; "
            "give one of each per seed."
        )
    return with_source - alone


def gap_name(reference: str) -> str:
    """Return the full name of the gap to a reference.

    The gap to training on the target alone is the negative transfer gap. Unsupervised adaptation has no such
    reference. There the gap to `source_only` is used. It is called the adaptation gap: a different quantity with the
    same sign convention.
    """
    if reference in WITHOUT_SOURCE:
        return "negative transfer gap"
    return "adaptation gap" if reference == "source_only" else f"gap to {reference}"


def negative_transfer_ratio(judgements: Collection[Judgement], level: float = 0.95) -> NegativeTransferRatio:
    """Compute the share of pairs whose interval of the gain is entirely below 0.

    The share is descriptive. It is not corrected for the number of pairs: with 95 % intervals, sources without any
    effect give an expected share of at most .025. A pair without an interval counts as not harmed.

    Args:
        judgements: At least one judgement; the reference of all must be training on the target alone.
        level: Nominal coverage of the Wilson interval, in (0, 1).

    Raises:
        ValueError: If there is no judgement, or if a judgement has another reference. A gap to another reference is
            not negative transfer.
    """
    other = [judgement.reference for judgement in judgements if judgement.reference not in WITHOUT_SOURCE]
    if other or not judgements:
        found = f"one against {other[0]}" if other else "none"
        raise ValueError(
            f"judgements: {found}; negative transfer needs judgements against {' or '.join(WITHOUT_SOURCE)}."
        )
    harmed = sum(judgement.interval is not None and judgement.interval.high < 0 for judgement in judgements)
    return NegativeTransferRatio(harmed, len(judgements), wilson_interval(harmed, len(judgements), level))
