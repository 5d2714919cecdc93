"""Settings with which a run would end well and its result would be wrong: each ends in a sentence, or is named."""

import pytest

from landbridge.errors import LandbridgeError

# ---- losses that cannot change what is tested


@pytest.mark.parametrize(
    ("overrides", "loss"),
    [
        (["strategy=mdd"], "its loss contradict"),
        (["strategy=coral"], "terms: coral"),
        (["strategy=swd"], "terms: swd"),
        (["strategy=bsp"], "its loss confuse and terms: bsp"),
        (["strategy=source_only", "terms=[mcc,coral]"], "terms: coral"),
        (["strategy=bss", "target_labels=2"], "terms: bss"),
        (["strategy=bi_tuning", "target_labels=2"], "its loss contrast"),
        (["strategy=lwf", "target_labels=2", "start=source"], "its loss remember"),
    ],
)
def test_a_loss_over_frozen_features_is_refused(overrides, loss, tiny, tmp_path):
    source = [f"start.cache={tmp_path}"] if "start=source" in overrides else []
    with pytest.raises(LandbridgeError, match=f": {loss} cannot change any weight that the test uses, because all"):
        tiny(*overrides, *source, "freeze.depth=all")


@pytest.mark.parametrize(
    "overrides",
    [
        ["strategy=jan", "freeze.depth=all"],  # its kernel of predictions trains the head
        ["strategy=linear_probes", "target_labels=2"],  # heads that further epochs test
        ["strategy=coral", "freeze=linear_then_full", "trainer.max_epochs=2"],
        ["strategy=swd", "freeze=surgical", "freeze.stages=1", "tuning=bitfit"],  # it trains a bias of BatchNorm
    ],
)
def test_a_loss_that_changes_the_head_or_some_stage_in_some_epoch_is_allowed(overrides, tiny):
    """`test_every_strategy` runs every strategy without frozen stages."""
    assert tiny(*overrides).status == "done"
