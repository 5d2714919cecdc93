"""The sign and the name of the gap, and the share of harmed pairs, against values computed by hand."""

import numpy as np
import pytest

from landbridge.statistics import gap_name, judge, judge_all, negative_transfer_gap, negative_transfer_ratio

WITH_SOURCE = [0.30, 0.28, 0.35, 0.31, 0.33, 0.29]
ALONE = [0.25, 0.24, 0.31, 0.28, 0.27, 0.24]


def test_a_positive_gap_means_that_the_source_harms():
    gap = negative_transfer_gap(WITH_SOURCE, ALONE)
    assert gap == pytest.approx([0.05, 0.04, 0.04, 0.03, 0.06, 0.05])
    assert judge(-gap, reference="scratch").verdict == "harms"


def test_swapping_the_runs_changes_the_sign():
    assert negative_transfer_gap(ALONE, WITH_SOURCE) == pytest.approx(-negative_transfer_gap(WITH_SOURCE, ALONE))


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("scratch", "negative transfer gap"),
        ("target_only", "negative transfer gap"),
        ("source_only", "adaptation gap"),
        ("fine_tune", "gap to fine_tune"),
    ],
)
def test_the_gap_is_named_after_its_reference(reference, name):
    assert gap_name(reference) == name


def test_ratio_counts_pairs_whose_interval_is_below_0():
    gains = {
        "harmed": [-0.05, -0.04, -0.06, -0.05],  # too few seeds for a verdict, but the interval is below 0
        "helped": [0.05, 0.04, 0.06, 0.05],
        "around 0": [0.05, -0.04, 0.01, 0.0],
        "one seed": [-0.3],
    }
    ratio = negative_transfer_ratio(judge_all(gains, references="target_only").values())
    assert (ratio.harmed, ratio.pairs, ratio.share) == (1, 4, 0.25)
    # Wilson's limits: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 1/4, n = 4, z = 1.959964
    assert (ratio.interval.low, ratio.interval.high) == pytest.approx((0.045587, 0.699358), abs=1e-6)


def test_the_expected_ratio_without_effects_is_at_most_the_tail_of_the_interval():
    rows = np.random.default_rng(3).normal(size=(2000, 7))
    ratio = negative_transfer_ratio(judge_all(dict(enumerate(rows)), references="scratch").values())
    assert 0 < ratio.interval.low <= 0.025


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: negative_transfer_gap([0.1, 0.2], [0.1]), "2 runs with and 1 without"),
        (lambda: negative_transfer_gap([0.1], [float("nan")]), "error_alone: nan"),
        (lambda: negative_transfer_ratio([]), "none"),
        (lambda: negative_transfer_ratio([judge([0.1], reference="source_only")]), "one against source_only"),
    ],
)
def test_invalid_input_is_refused_with_its_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
