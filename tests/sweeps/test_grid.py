import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from landbridge.errors import LandbridgeError
from landbridge.sweeps.grid import grid


def parsed(*overrides: str) -> list:
    return OverridesParser.create().parse_overrides(list(overrides))


def test_the_last_axis_varies_fastest():
    assert grid(parsed("++seed=1,2", "name=x", "++lr=range(0,1,0.5)")) == [
        [f"++seed={seed}", "name=x", f"++lr={lr}"] for seed in (1, 2) for lr in (0.0, 0.5)
    ]


def test_a_later_axis_replaces_an_earlier_axis_of_the_same_name():
    assert grid(parsed("++seed=1,2,3", "++seed=7")) == [["++seed=7"]]


def test_lists_and_quoted_values_are_not_axes():
    assert grid(parsed("experiment=[a,b]", "name='a,b'")) == [["experiment=[a,b]", "name='a,b'"]]


def test_an_interval_is_refused():
    with pytest.raises(LandbridgeError, match="an interval has infinitely many values"):
        grid(parsed("lr=interval(0,1)"))
