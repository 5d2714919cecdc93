"""Numbers of very different scale, and predictions worse than the mean, are named."""

import logging

import numpy as np
import pytest

from landbridge.run.final_table import print_record


@pytest.fixture
def vectors(tmp_path):
    """A function that writes vectors with factors on their columns, and returns the overrides that read them."""

    def written(*factors: float, y: str = "numbers") -> list[str]:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(60, len(factors))) * np.array(factors)
        labels = rng.normal(size=60) + 100 if y == "numbers" else np.arange(60) % 2
        np.savez(tmp_path / "v.npz", x=x, y=labels)
        task = ["target.task=regression"] if y == "numbers" else []
        return ["source=null", "target=vectors", f"target.file={tmp_path}/v.npz", *task, "strategy=target_only",
                "target_labels=all", "backbone=mlp"]  # fmt: skip

    return written


def test_an_r2_below_zero_is_named(vectors, tiny, tmp_path, capsys):
    record = tiny(*vectors(1.0, 1.0), "optimizer.lr=1e-9", "trainer.max_epochs=1")
    for value, named in ((-0.5, True), (0.5, False)):
        record.results["target"]["r2"] = value
        print_record(record, tmp_path)
        assert (
            "R2 below 0: the mean of the test values would be a better prediction" in capsys.readouterr().out
        ) == named


@pytest.mark.parametrize(("factors", "named"), [((1.0, 900.0, 0.0), False), ((1.0, 2000.0, 0.0), True)])
def test_columns_far_apart_in_scale_are_named(factors, named, vectors, tiny, caplog):
    tiny(*vectors(*factors, y="classes"))
    told = [each.getMessage() for each in caplog.records if "differ very much in scale" in each.getMessage()]
    assert len(told) == named
    if named:
        assert "in column 0, " in told[0]
        assert "in column 1)" in told[0]
        assert caplog.records[0].levelno == logging.WARNING
