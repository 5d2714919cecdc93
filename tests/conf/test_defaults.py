"""A configuration with the defaults of the code, by which runs are told apart."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from landbridge.config.defaults import with_defaults
from landbridge.record import fingerprint
from landbridge.strategies import SHOT
from landbridge.strategies.terms import JointMMDTerm


@pytest.fixture
def whole(compose):
    """Return a function that composes a configuration and adds the defaults."""

    def made(*overrides: str) -> dict[str, Any]:
        return with_defaults(OmegaConf.to_container(compose(*overrides), resolve=True))  # type: ignore[arg-type]

    return made


@pytest.mark.parametrize(
    ("chosen", "written"),
    [
        (["strategy=shot"], ["strategy=shot", "strategy.beta=0.1"]),
        (["strategy=shot"], ["strategy=shot", "strategy.weight=1"]),
        (["strategy=jan"], ["strategy=jan", "strategy.terms.joint_mmd={estimator: unbiased}"]),
        (["strategy=bnm"], ["strategy=bnm", "strategy.terms.bnm={weight: 1.0}"]),
        (["terms=[mcc]"], ["terms={mcc: {temperature: 2.5}}"]),
        (["terms=[mcc]"], ["terms={mcc: 1.0}"]),
        (["source=mnist_5k_inverted"], ["source=mnist_5k_inverted", "source.domain.stratify=false"]),
    ],
)
def test_a_default_that_is_written_down_changes_nothing(whole, chosen, written):
    assert fingerprint(whole(*chosen), {}) == fingerprint(whole(*written), {})


@pytest.mark.parametrize(
    ("choice", "function", "setting"),
    [("strategy=shot", SHOT.__init__, "beta"), ("strategy=jan", JointMMDTerm.__init__, "estimator")],
)
def test_a_default_that_changes_in_the_code_is_another_run(whole, monkeypatch, choice, function, setting):
    from landbridge.config.signatures import read_signature

    before = fingerprint(whole(choice), {})
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    values = list(function.__defaults__ or ())
    place = names.index(setting) - (len(names) - len(values))
    values[place] = 0.123
    monkeypatch.setattr(function, "__defaults__", tuple(values))
    read_signature.cache_clear()
    try:
        assert fingerprint(whole(choice), {}) != before
    finally:
        monkeypatch.undo()
        read_signature.cache_clear()


def test_a_cache_that_is_off_is_the_same_run(whole):
    assert fingerprint(whole("cache=off"), {}) == fingerprint(whole("cache=activations"), {})
