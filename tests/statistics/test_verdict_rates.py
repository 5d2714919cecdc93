"""The rates of false verdicts that docs/comparing.md states, simulated quickly with the functions of the benchmark."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "verdicts.py"
specification = importlib.util.spec_from_file_location("verdicts", SCRIPT)
verdicts = importlib.util.module_from_spec(specification)
specification.loader.exec_module(verdicts)
RUNS = 150


def most(runs, rate=0.05):
    """Return the largest share that a true rate gives in 999 of 1000 cases."""
    return stats.binom.ppf(0.999, runs, rate) / runs


@pytest.mark.parametrize("own_splits", [False, True])
@pytest.mark.parametrize("name", list(verdicts.WORLDS))
def test_false_verdicts_stay_within_the_level(name, own_splits):
    found = [
        verdicts.rates(verdicts.WORLDS[name], verdicts.Test(seeds, size, own_splits), RUNS)[0]
        for seeds, size in ((5, 100), (5, 359), (10, 359))
    ]
    assert np.mean(found) <= most(3 * RUNS)


def test_the_earlier_rule_gave_false_verdicts_where_all_seeds_share_one_test_set():
    now, before = verdicts.rates(verdicts.World(), verdicts.Test(10, 359, own_splits=False), 300)
    assert before > 0.2
    assert now <= most(300)


def test_a_table_of_many_methods_rarely_has_any_false_verdict():
    world, test = verdicts.World(spread=0.02), verdicts.Test(7, 100, own_splits=True)
    now, before = verdicts.any_false(world, test, 60)
    assert now <= most(60)
    assert before > now


def test_the_expected_accuracies_of_method_and_reference_are_equal_in_every_world():
    rng = np.random.default_rng(0)
    for world in verdicts.WORLDS.values():
        test = verdicts.Test(20, 1000, own_splits=True)
        gains = [verdicts.simulate(world, test, 1, rng)[0].by_seed.mean() for _ in range(60)]
        assert abs(np.mean(gains)) <= 3.3 * stats.sem(gains)


def test_a_gain_of_five_points_is_found_by_ten_seeds():
    world = verdicts.World(spread=0.02, gain=0.05)
    assert verdicts.rates(world, verdicts.Test(10, 1000, own_splits=True), 100)[0] > 0.8
