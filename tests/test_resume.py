"""Runs on decoded photographs that are interrupted and resumed equal uninterrupted ones.

Worker processes read ahead, so the order of samples must be known before the first epoch after a resume begins.
"""

from pathlib import Path

import pytest

from landbridge.record import Record
from landbridge.run.checkpoints import LAST
from photographs import photographs
from strategies.test_every_strategy import content, differences
from test_run import stop_after

TARGET = ("target_labels=4", "strategy=fine_tune")
#: For each situation: the overrides.
SITUATIONS = {
    "the default number of workers": TARGET,
    "no workers": (*TARGET, "data.workers=0"),
    "epochs shorter than what workers read ahead": (*TARGET, "data.workers=2", "data.steps_per_epoch=1"),
    "workers and a cache of decoded photographs": (*TARGET, "data.workers=2", "cache=activations"),
    "workers and a cache of activations": (*TARGET, "data.workers=2", "cache=activations", "freeze.depth=1"),
    "two streams": ("strategy=dann", "data.workers=2"),
    "three streams with views": ("strategy=fixmatch", "target_labels=4", "data.workers=2"),
    "three streams with cached views": (
        *("strategy=fixmatch", "target_labels=4", "data.workers=2", "freeze.depth=1"),
        *("cache=activations", "cache.views=2"),
    ),
}


@pytest.fixture(scope="module")
def domains(tmp_path_factory) -> list[str]:
    """Return the overrides of two folders of photographs."""
    base = tmp_path_factory.mktemp("photographs")
    roots = {role: photographs(base / role, seed) for seed, role in enumerate(("source", "target"))}
    return [text for role, root in roots.items() for text in (f"{role}=image_folder", f"{role}.root={root}")]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_resumed_run_on_photographs_equals_an_uninterrupted_one(situation, domains, tiny, tmp_path):
    overrides = [*domains, *SITUATIONS[situation], "trainer.max_epochs=3"]
    cached = "cache=activations" in overrides
    straight = tiny(*overrides, *([f"cache.path={tmp_path / 'one'}"] * cached), folder="straight")
    overrides += [f"cache.path={tmp_path / 'other'}"] * cached  # empty at the first session
    for epoch in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            stop_after(patch, epoch, KeyboardInterrupt())
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                tiny(*overrides, folder="resumed")
        assert len(Record.read(tmp_path / "resumed").epochs) == epoch
    resumed = tiny(*overrides, folder="resumed")
    assert_equal(tmp_path / "straight", tmp_path / "resumed")
    assert resumed.fingerprint == straight.fingerprint


def assert_equal(straight: Path, resumed: Path) -> None:
    """Compare weights, optimizer, losses, scores and test results."""
    assert not differences(content(resumed, LAST), content(straight, LAST))
    one, other = Record.read(resumed), Record.read(straight)
    assert not differences(one.epochs, other.epochs)
    assert one.results == other.results
