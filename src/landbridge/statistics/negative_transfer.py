"""Negative transfer by name: the gap with its sign, and the share of pairs that a source harmed."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landbridge.statistics.intervals import Interval, as_sample, wilson_interval
from landbridge.statistics.verdict import Judgement

WITHOUT_SOURCE = ("scratch", "target_only")
"""References that learned from the target alone: only a gap to one of them is negative transfer."""


@dataclass(frozen=True, slots=True)
class NegativeTransferRatio:
    """Share of pairs that a source harmed.

    Attributes:
        harmed: Number of pairs whose whole interval of the gain lies below 0.
        pairs: Number of pairs.
        interval: Wilson interval of the share.
    """

    harmed: int
    pairs: int
    interval: Interval

    @property
    def share(self) -> float:
        """The ratio itself, a fraction of 1."""
        return self.harmed / self.pairs


def negative_transfer_gap(error_with_source: ArrayLike, error_alone: ArrayLike) -> NDArray[np.float64]:
    """Target error with the source minus target error of the same algorithm without it.

    Positive is negative transfer: the source harms (Wang et al. 2019, arXiv:1811.09751). Tables show the gain, which
    is its negative.

    Args:
        error_with_source: Target error of A(S, T), one per paired seed, shape (n,).
        error_alone: Target error of A(none, T) for the same seeds and splits, tuned with the same budget, shape (n,).

    Returns:
        The gap per seed, shape (n,), in the unit of the errors.

    Raises:
        ValueError: If the two do not pair up, or a value is not finite.
    """
    with_source = as_sample(error_with_source, name="error_with_source")
    alone = as_sample(error_alone, name="error_alone")
    if with_source.size != alone.size:
        raise ValueError(f"errors: {with_source.size} runs with and {alone.size} without the source do not pair up.")
    return with_source - alone


def gap_name(reference: str) -> str:
    """The full name of the gap to a reference.

    Against training on the target alone it is negative transfer. Unsupervised adaptation has no such run: against
    `source_only` it is the adaptation gap, another quantity with the same sign.
    """
    if reference in WITHOUT_SOURCE:
        return "negative transfer gap"
    return "adaptation gap" if reference == "source_only" else f"gap to {reference}"


def negative_transfer_ratio(judgements: Collection[Judgement], level: float = 0.95) -> NegativeTransferRatio:
    """Share of pairs whose interval of the gain lies entirely below 0.

    It describes, and is not corrected for the number of pairs: with 95 % intervals, sources without any effect give
    .025. A pair without an interval counts as not harmed.

    Args:
        judgements: At least one, all against training on the target alone.
        level: Nominal coverage of the Wilson interval, in (0, 1).

    Raises:
        ValueError: If there is no judgement, or one against another reference: that is not negative transfer.
    """
    other = [judgement.reference for judgement in judgements if judgement.reference not in WITHOUT_SOURCE]
    if other or not judgements:
        found = f"one against {other[0]}" if other else "none"
        raise ValueError(
            f"judgements: {found}; negative transfer needs judgements against {' or '.join(WITHOUT_SOURCE)}."
        )
    harmed = sum(judgement.interval is not None and judgement.interval.high < 0 for judgement in judgements)
    return NegativeTransferRatio(harmed, len(judgements), wilson_interval(harmed, len(judgements), level))
