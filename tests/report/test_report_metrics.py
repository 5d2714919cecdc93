"""Comparing by other metrics: units, direction, and pairs or names that do not fit."""

import csv
import io
import re
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import ITEMS, REGRESSION, made, with_results, write
from scipy import stats

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, pack_scores
from landbridge.report.__main__ import main
from landbridge.report.collect import collect
from landbridge.report.compare import compare
from landbridge.report.metrics import KNOWN, Metric, metric_of
from landbridge.report.numbers import signed, significant
from landbridge.report.page import make
from landbridge.report.ranking import rank
from landbridge.tasks import Classification, MultiLabel, Regression, Several, Shown, Task

ERRORS = {"source_only": 4.0, "dann": 3.0, "mcc": 5.0}


def measured(strategy, seed, source="noon", target="dusk"):
    """Return a record of a regression whose mean absolute error is that of `ERRORS`, with values of single items."""
    errors = ERRORS[strategy] + 0.01 * seed * len(strategy) + np.linspace(-1, 1, ITEMS)
    return with_results(
        made(strategy, 0.5, seed, source, target),
        REGRESSION,
        r2=1 - errors.mean() / 10,
        mae=float(errors.mean()),
        rmse=float(np.sqrt((errors**2).mean())),
        **pack_scores(-errors, whole=False),
    )


def report(folder, *options):
    main([str(folder), *options])
    cells = {row["strategy"]: row for row in csv.DictReader(io.StringIO((folder / "report.csv").read_text()))}
    return cells, (folder / "report.md").read_text(), (folder / "report.html").read_text()


@pytest.fixture
def regressions(tmp_path):
    return write(tmp_path, [measured(strategy, seed) for strategy in ERRORS for seed in range(6)])


def test_by_default_a_regression_is_compared_by_r2_in_plain_numbers(regressions):
    cells, text, _ = report(regressions)
    values = [1 - (3.0 + 0.04 * seed) / 10 for seed in range(6)]
    assert float(cells["dann"]["r2"]) == pytest.approx(np.mean(values), rel=1e-5)
    low, high = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))
    assert f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]" in text
    assert (cells["dann"]["verdict"], cells["mcc"]["verdict"]) == ("helps", "harms")
    assert "holds for this test set only" in cells["dann"]["flags"]
    assert re.search(r"dann \+0\.11[78] in R2", text)
    assert "%" not in text.partition("## Strategies")[2].replace("[95 %]", "")


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_for_errors_lower_is_better(regressions, metric):
    cells, text, page = report(regressions, "--metric", metric)
    assert (cells["dann"]["verdict"], cells["mcc"]["verdict"]) == ("helps", "harms")
    assert float(cells["dann"]["gain"]) > 0 > float(cells["mcc"]["gain"])
    assert float(cells["dann"][metric]) < float(cells["source_only"][metric])
    assert float(cells["dann"][f"{metric}_highest"]) > float(cells["dann"][metric])
    assert "helps in 1 of 2 comparisons and harms in 1" in text
    assert f'data-key="{metric}" class="number lower"' in page
    assert "is better: its gain is the reference's value minus the method's" in text


def test_the_lowest_error_has_the_first_rank(tmp_path):
    records = [measured(strategy, 0, target=target) for strategy in ERRORS for target in ("noon", "dawn")]
    ranks = rank(compare(collect([write(tmp_path, records)], "mae").runs))
    assert ranks.ranks == {"dann": 1, "source_only": 2, "mcc": 3}


def test_an_error_of_calibration_is_a_share_and_lower_is_better(tmp_path):
    records = [made("source_only"), made("dann")]
    records[1].results["target"]["ece"] = 0.04
    cells, text, _ = report(write(tmp_path, records), "--metric", "ece")
    assert float(cells["dann"]["gain"]) == pytest.approx(0.06)
    assert "dann +6.0 points (n=1) over source_only" in text


def test_a_number_inside_the_results_can_be_chosen(tmp_path):
    records = [made("source_only"), made("dann")]
    for record, value in zip(records, (0.2, 0.5), strict=True):
        record.results["target"]["accuracy_by_class"] = {"bar": value}
    cells, text, _ = report(write(tmp_path, records), "--metric", "accuracy_by_class.bar")
    assert float(cells["dann"]["gain"]) == pytest.approx(0.3)
    assert "+30.0 points" in text


def test_a_mistyped_metric_is_refused_with_the_nearest_name(regressions):
    with pytest.raises(LandbridgeError, match="metric rsme: no pair whose runs all have it; nearest: rmse"):
        collect([regressions], "rsme")


def test_a_metric_that_nothing_resembles_is_refused_with_the_names(regressions):
    with pytest.raises(SystemExit) as stop:
        main([str(regressions), "--metric", "xylophone"])
    assert "metrics: mae, r2, rmse" in str(stop.value)
    assert "\n" not in str(stop.value)


def test_pairs_without_the_metric_are_left_out_and_named(tmp_path, capsys):
    records = [
        measured("dann", 0),
        measured("source_only", 0),
        made("dann", source="dawn"),
        made("source_only", source="dawn"),
    ]
    records[3].results["target"]["mae"] = 1.0
    folder = write(tmp_path, records)
    cells, text, _ = report(folder, "--metric", "mae")
    assert cells["dann"]["source"].startswith("noon")
    line = "dawn → dusk: 1 of 2 runs have no finite mae"
    assert line in capsys.readouterr().err
    assert line in text
    assert collect([folder], "mae").runs == [run for run in collect([folder], "mae").runs if run.pair.source == "noon"]


def test_a_run_whose_metric_is_not_finite_is_named_and_the_others_of_its_pair_stay(tmp_path):
    records = [measured(strategy, seed) for strategy in ("source_only", "dann") for seed in (0, 1, 2)]
    records[4].results["target"]["r2"] = float("nan")
    found = collect([write(tmp_path, records)])
    assert [run.folder.name for run in found.runs] == ["0", "1", "2", "3", "5"]
    assert found.left_out == [f"{tmp_path / '4' / RECORD}: r2 is not finite"]
    assert found.partial
    page = make(found, "odd")
    assert str(tmp_path / "4" / RECORD) in page.html()
    assert "**PARTIAL**" in page.markdown()


def test_a_pair_without_a_finite_metric_is_left_out(tmp_path):
    records = [measured(strategy, 0, source) for strategy in ("source_only", "dann") for source in ("noon", "dawn")]
    for record in records[::2]:
        record.results["target"]["r2"] = float("nan")
    found = collect([write(tmp_path, records)])
    assert {run.pair.source for run in found.runs} == {"dawn"}
    assert found.left_out == ["noon → dusk: 2 of 2 runs have no finite r2"]


@pytest.mark.parametrize("task", [Classification, MultiLabel, Regression, Several])
def test_the_leading_metric_of_every_task_is_known_and_higher_is_better(task: type[Task]):
    assert not KNOWN[task.leading].lower
    assert {key: KNOWN[key].title for key in task.shown_metrics} == task.shown_metrics


def test_metrics_inside_have_the_unit_and_direction_of_the_metric():
    assert metric_of("by_task.size.mae").lower
    assert metric_of("accuracy_by_class.bar").is_share
    assert metric_of("accuracy_at_start").title == "accuracy (at start)"
    assert metric_of("elbow", {"shown": {"elbow": "Elbow"}}).title == "Elbow"
    assert not metric_of("elbow").lower


def test_a_task_declares_unit_and_direction_of_its_own_metrics():
    class Quantile(Regression):
        shown_metrics: ClassVar = {**Regression.shown_metrics, "pinball": Shown("pinball loss", lower=True, top=0)}

    task = Quantile(("size",)).describe()
    assert metric_of("pinball", task) == Metric("pinball", "pinball loss", lower=True, top=0)
    assert metric_of("r2", task) == KNOWN["r2"]
    inside = metric_of("by_task.size.pinball", Several({"size": Quantile(("size",))}).describe())
    assert (inside.title, inside.lower) == ("pinball loss (by task size)", True)
    assert "metrics" not in Regression(("size",)).describe()


@given(st.floats(-1e9, 1e9))
def test_numbers_are_written_with_three_significant_digits(value):
    assert float(significant(value).replace(",", "")) == pytest.approx(float(f"{value:.2e}"), rel=1e-9)
    assert signed(value)[0] in "+-"
    assert significant(value) != "-0"
