"""A task of a kind that landbridge does not know is one file: strategies, terms, rules and reports serve it."""

import csv
import math

import pytest

from landbridge.errors import LandbridgeError
from landbridge.report.__main__ import main as report

OWN = ("source._target_=own_task.strokes", "target._target_=own_task.strokes")


@pytest.mark.parametrize(
    "overrides",
    [
        ("strategy=source_only", "terms=[coral]", "selection=source_val"),
        ("strategy=dann", "target_labels=8", "selection=target_val"),
        ("strategy=linear_probe", "target_labels=8", "selection=target_val"),
    ],
    ids=lambda each: each[0],
)
def test_a_strategy_that_needs_only_a_loss_serves_it(overrides, tiny):
    record = tiny(*OWN, *overrides, "trainer.max_epochs=2")
    assert record.results["target"]["n"] == 12
    assert math.isfinite(record.results["target"]["fit"])
    assert record.data["target"]["task"]["kind"] == "counts"
    assert all(math.isfinite(row["scores"]["oracle"]) for row in record.epochs)


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        ("strategy=mcd", "strategy MCD needs one class a sample"),
        ("strategy=mcc", "terms: mcc needs one class a sample"),
        ("strategy=ridge", "strategy Ridge needs numbers"),
        ("selection=entropy", "selection=entropy needs one class a sample"),
        ("task.class_weights=balanced", "task.class_weights=balanced balances the classes of a classification"),
    ],
)
def test_what_needs_more_refuses_it(overrides, refused, tiny):
    with pytest.raises(LandbridgeError, match=f"^{refused}, and the target's task is counts"):
        tiny(*OWN, "target_labels=8", overrides)


def test_a_report_shows_its_metrics_with_their_units(tiny, tmp_path):
    for strategy in ("source_only", "dann"):
        tiny(*OWN, f"strategy={strategy}", folder=f"runs/{strategy}")
    report([str(tmp_path / "runs")])
    text = (tmp_path / "runs" / "report.md").read_text()
    assert "log-likelihood" in text
    (row, *_) = csv.DictReader((tmp_path / "runs" / "runs.csv").read_text().splitlines())
    assert {"fit", "bias"} <= row.keys()
    assert "relative bias" in (tmp_path / "runs" / "report.html").read_text()
