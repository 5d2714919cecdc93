"""Statistics of transfer gains: intervals over few seeds, paired exact tests, ranks, and verdicts. Pure functions."""

from landbridge.statistics.intervals import (
    Interval,
    hierarchical_bootstrap,
    seeds_to_exclude_zero,
    studentised_bootstrap,
    t_interval,
    wilson_interval,
)
from landbridge.statistics.negative_transfer import (
    NegativeTransferRatio,
    gap_name,
    negative_transfer_gap,
    negative_transfer_ratio,
)
from landbridge.statistics.paired import holm, seeds_needed, sign_flip_test, smallest_possible_p
from landbridge.statistics.ranks import (
    Friedman,
    average_ranks,
    friedman_test,
    nemenyi_critical_difference,
    nemenyi_p_values,
)
from landbridge.statistics.verdict import Budget, Judgement, Verdict, judge, judge_all

__all__ = [
    "Budget",
    "Friedman",
    "Interval",
    "Judgement",
    "NegativeTransferRatio",
    "Verdict",
    "average_ranks",
    "friedman_test",
    "gap_name",
    "hierarchical_bootstrap",
    "holm",
    "judge",
    "judge_all",
    "negative_transfer_gap",
    "negative_transfer_ratio",
    "nemenyi_critical_difference",
    "nemenyi_p_values",
    "seeds_needed",
    "seeds_to_exclude_zero",
    "sign_flip_test",
    "smallest_possible_p",
    "studentised_bootstrap",
    "t_interval",
    "wilson_interval",
]
