"""Statistics of transfer gains: estimates over few seeds and test items, corrections, ranks and verdicts.

All functions are pure.
"""

from landbridge.statistics.estimate import Estimate, estimate
from landbridge.statistics.gains import Gains
from landbridge.statistics.intervals import Interval, t_interval, wilson_interval
from landbridge.statistics.many import excess_of_the_best, holm
from landbridge.statistics.negative_transfer import (
    NegativeTransferRatio,
    gap_name,
    negative_transfer_gap,
    negative_transfer_ratio,
)
from landbridge.statistics.ranks import (
    Friedman,
    average_ranks,
    friedman_test,
    nemenyi_critical_difference,
    nemenyi_p_values,
)
from landbridge.statistics.verdict import LEAST_SEEDS, Budget, Judgement, Verdict, judge, judge_all

__all__ = [
    "LEAST_SEEDS",
    "Budget",
    "Estimate",
    "Friedman",
    "Gains",
    "Interval",
    "Judgement",
    "NegativeTransferRatio",
    "Verdict",
    "average_ranks",
    "estimate",
    "excess_of_the_best",
    "friedman_test",
    "gap_name",
    "holm",
    "judge",
    "judge_all",
    "negative_transfer_gap",
    "negative_transfer_ratio",
    "nemenyi_critical_difference",
    "nemenyi_p_values",
    "t_interval",
    "wilson_interval",
]
